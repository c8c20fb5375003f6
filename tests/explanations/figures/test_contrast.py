import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from protoxai import explain
from protoxai.explanations import Explanation
from protoxai.explanations.figures import contrast_figure
from protoxai.explanations.figures.marks import AGAINST, FOR, NO_PICTURE, signed
from tests.explanations.cases import block_model, blocks
from tests.explanations.figures.reading import check_layout, drawn, frames, pictures, texts, words


def explained(*, projected: bool = True) -> Explanation:
    model = block_model(projected=projected).group(2).double()
    explanation: Explanation = explain(model, blocks()[0].double())
    return explanation


def bars(figure: Figure) -> list[tuple[float, float, str]]:
    """Left end, length and colour of each bar, in inches."""
    return [
        (bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor()))
        for bar in figure.artists
        if isinstance(bar, Rectangle) and to_hex(bar.get_facecolor()) in (FOR, AGAINST)
    ]


def test_rows_and_bars_add_up_to_the_lead() -> None:
    explanation = explained()
    contrast = explanation.contrast(1, 0)
    assert len(contrast.prototypes) > 2
    figure = contrast_figure(explanation, 1, 0, prototypes=2)
    rest = [each.difference for each in contrast.prototypes[2:]]
    values = [each.difference for each in contrast.prototypes[:2]] + [sum(rest), contrast.baseline]
    assert sum(values) == pytest.approx(contrast.difference)
    assert [text for text in texts(figure) if text[0] in "+−"] == list(map(signed, values))
    assert f"{len(rest)} more" in texts(figure)
    assert f"a lead of {signed(contrast.difference)}" in words(figure)
    shown = bars(figure)
    scale = shown[0][1] / abs(values[0])
    for (left, length, colour), value in zip(shown, values, strict=True):
        assert length == pytest.approx(abs(value) * scale, abs=1e-9)
        assert colour == (FOR if value >= 0 else AGAINST)
        end = left if value >= 0 else left + length
        assert end == pytest.approx(shown[0][0] + (shown[0][1] if values[0] < 0 else 0))
    check_layout(figure)


def test_each_row_shows_the_patch_and_where_it_is_active() -> None:
    explanation = explained()
    region = (0, 24, 16, 48)
    contrast = explanation.contrast(1, 0, region)
    figure = contrast_figure(explanation, 1, 0, region, prototypes=2)
    _, patch, here, *_ = pictures(figure)
    first = contrast.prototypes[0].prototype
    assert frames(patch) == [explanation.prototypes[first].box]
    box = explanation.box(first, region)
    [inner] = frames(here)
    assert (inner[2] - inner[0], inner[3] - inner[1]) == (box[2] - box[0], box[3] - box[1])
    assert len(pictures(figure)) == 1 + 2 * 2


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_without_pictures_and_with_hostile_names(width: float) -> None:
    model = block_model(projected=False).group(2).double()
    model.class_names = ("$x_{", "<b>" * 100, "\U0001f600")
    figure = contrast_figure(explain(model, blocks()[0].double()), 1, 2, (0, 0, 9, 9), width=width)
    assert NO_PICTURE in words(figure)
    assert drawn(figure).std() > 0.02
    check_layout(figure)


def test_a_class_that_is_predicted_nowhere_needs_a_region() -> None:
    model = block_model().group(2).double()
    model.head.weight.data[0] += 9
    with pytest.raises(ValueError, match="predicted nowhere"):
        contrast_figure(explain(model, blocks()[0].double()), 1)
