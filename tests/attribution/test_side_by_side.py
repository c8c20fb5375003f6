"""The maps of several explainers side by side."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from protoxai import ScaleProtoSeg
from protoxai.attribution import AttributionMethod, PrototypeAttribution, attribution_figure
from tests.explanations.figures.reading import check_layout, drawn, texts


class Doubled(AttributionMethod):
    """Twice the red channel, in the region."""

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        return 2 * images[:, 0] * region, None


class Broken(AttributionMethod):
    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        raise RuntimeError("no")


def tiny(names: tuple[str, ...] | None = None) -> ScaleProtoSeg:
    trunk = nn.Conv2d(3, 8, 4, stride=4)
    return ScaleProtoSeg(trunk, 2, prototype_dim=4, class_names=names).eval()


def test_a_panel_for_the_image_and_for_each_map() -> None:
    model, image = tiny(("$x_{", "<b>\U0001f600" + "a" * 300)), torch.randn(1, 3, 16, 24)
    region = torch.zeros(16, 24, dtype=torch.bool)
    region[4:8, 2:20] = True
    explainers = [Doubled("doubled", model), Broken("broken", model), PrototypeAttribution(model)]
    figure = attribution_figure(explainers, image, 1, region)
    picture, doubled, broken, _ = figure.axes
    assert np.asarray(picture.images[0].get_array()).shape == (16, 24, 3)
    shown = np.asarray(doubled.images[0].get_array())
    np.testing.assert_allclose(shown, (2 * image[0, 0] * region).numpy(), atol=1e-6)
    # 0 is in the middle of the colours.
    low, high = doubled.images[0].get_clim()
    assert low == pytest.approx(-(high or 0))
    assert [text.get_text() for text in broken.texts] == ["RuntimeError"]
    assert {"doubled", "broken"} <= set(texts(figure))
    assert drawn(figure).std() > 0.02
    check_layout(figure)


@pytest.mark.parametrize("width", [1.5, 3.4, 7.0])
def test_by_default_the_most_predicted_class(width: float) -> None:
    model, image = tiny(), torch.randn(3, 16, 24)
    labels = model.predict(image[None])[0]
    most = int(labels.flatten().bincount().argmax())
    figure = attribution_figure([Doubled("doubled", model)] * 3, image, width=width)
    assert f"class {most}"[:4] in texts(figure)[0]
    shown = np.asarray(figure.axes[1].images[0].get_array())
    expected = 2 * image[0].numpy() * (labels == most).numpy()
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert figure.get_figwidth() == pytest.approx(width)
    check_layout(figure)


def test_bad_arguments() -> None:
    model, image = tiny(), torch.randn(1, 3, 16, 24)
    own = [PrototypeAttribution(model)]
    with pytest.raises(ValueError, match="at least one"):
        attribution_figure([], image)
    with pytest.raises(TypeError, match="explainers"):
        attribution_figure(own[0], image)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one image"):
        attribution_figure(own, torch.cat([image, image]))
    with pytest.raises(ValueError, match="class_index"):
        attribution_figure(own, image, 2)
