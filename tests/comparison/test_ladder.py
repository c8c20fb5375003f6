"""A ladder of explainers whose worth is known: the truth, real ones, chance, and nothing."""

import math

import pytest
import torch
from torch import Tensor, nn

from protoxai import PrototypeTable
from protoxai.attribution import AttributionMethod, CaptumAttribution, PrototypeAttribution
from protoxai.comparison import Comparison, Question, ask, compare
from protoxai.data.shapes.shapes import Shapes
from tests.comparison.toys import Scripted
from tests.toys import colour_model, set_prototypes

IMAGES = 6
REAL = {"bright": ("InputXGradient", "Saliency"), "prototypes": ("groups",)}
LADDERS = tuple(REAL)
RANKED = (
    "deletion",
    "insertion",
    "deletion_gap",
    "insertion_gap",
    "pointing_game",
    "relevance_mass",
)
ONLY_NEARLY_LINEAR = {
    "infidelity": "noise on all pixels: where the model answers to it sharply, no map foretells it"
}
CANNOT_RANK = {
    "random_deletion": "a reference: of a random order, whoever explains",
    "random_insertion": "a reference, likewise",
    "sparseness": "the form of a map: it is as sparse in the wrong place",
    "complexity": "the form of a map, likewise",
    "scale_spectrum": "the form of a map, likewise",
    "active_units": "how many units speak, not whether they are right; few methods have any",
    "effective_units": "how many units speak, likewise",
    "max_sensitivity": "how steady a map is: one that never changes is the steadiest",
    "parameter_randomisation": "how much a map hangs on the model: the truth does not, chance less",
    "forward_passes": "effort: chance is cheap",
    "backward_passes": "effort, likewise",
    "seconds": "effort, likewise",
    "peak_memory": "effort, likewise; unknown on the CPU",
}
SLACK = 0.1
"""Of the way from chance to the truth. A map can know the model better than the truth does: where
the borders count for less, say."""


class Bright(nn.Module):
    """Class 1 where a pixel and its neighbours are bright; nothing else decides."""

    def __init__(self) -> None:
        super().__init__()
        self.box = nn.Conv2d(3, 1, 3, padding=1)
        self.box.weight.data.fill_(1 / 27)
        self.box.bias.data.fill_(-0.5)

    def forward(self, images: Tensor) -> Tensor:
        logit = 10 * self.box(images)
        return torch.cat([torch.zeros_like(logit), logit], 1)


def painted(shapes: Shapes, index: int) -> dict:
    """A picture of Shapes, in which all but the objects of its largest class is darkened."""
    sample = shapes[index]
    [question] = ask([sample], skip=[0])
    mask = question.truth[0]
    return {"image": 0.3 * sample["image"] + 0.7 * mask, "labels": mask.long(), "index": index}


def truth_of(questions: list[Question], mirrored: bool = False):
    """The truth of whichever question is asked, the image a little changed or not."""

    def say(images: Tensor, region: Tensor) -> Tensor:
        own = [min(questions, key=lambda q: (q.image - i).square().sum()) for i in images]
        maps = torch.cat([question.truth for question in own]).float()
        return maps.flip(1, 2) if mirrored else maps

    return say


def chance():
    """Noise, drawn anew at each call."""
    generator = torch.Generator().manual_seed(0)

    def say(images: Tensor, region: Tensor) -> Tensor:
        return torch.randn(region.shape, generator=generator)

    return say


def nothing(images: Tensor, region: Tensor) -> Tensor:
    return torch.ones(region.shape)


def prototypes() -> nn.Module:
    """A prototype of the painted and one of the darkened, in each of red, green and blue."""
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=1)
    model = colour_model(table).eval()
    set_prototypes(model, [(0.15, 0.85)[c] for c in table.class_index.tolist()])
    return model


@pytest.fixture(scope="module")
def ladders() -> dict[str, Comparison]:
    """A ladder for each model: what a model's own softmax and logits enter is not for two."""
    shapes = Shapes(size=64, length=IMAGES, split="val")
    questions = ask((painted(shapes, index) for index in range(IMAGES)), skip=[0])
    assert len(questions) == IMAGES
    bright, colours = Bright().eval(), prototypes()
    real: dict[str, list[AttributionMethod]] = {
        "bright": [CaptumAttribution(name, bright) for name in REAL["bright"]],
        "prototypes": [PrototypeAttribution(colours)],
    }
    found = {}
    for name, explainers in real.items():
        model = explainers[0].model
        rungs = [
            Scripted("perfect", truth_of(questions), model),
            *explainers,
            Scripted("random", chance(), model),
            Scripted("constant", nothing, model),
            Scripted("mirrored", truth_of(questions, mirrored=True), model),
        ]
        found[name] = compare(rungs, questions, say=lambda line: None)
    return found


@pytest.fixture(params=LADDERS)
def ladder(ladders: dict[str, Comparison], request: pytest.FixtureRequest) -> Comparison:
    return ladders[request.param]


def worth(ladder: Comparison, explainer: str, figure: str) -> float:
    """The figure, turned so that higher is better; NaN where it is undefined."""
    found = ladder[explainer, figure]
    if found is None:
        return math.nan
    return found.mean if ladder.figures[figure] else -found.mean


def test_every_figure_is_ranked_or_named_with_the_reason_why_not(ladder: Comparison) -> None:
    assert sorted(ladder.figures) == sorted([*RANKED, *ONLY_NEARLY_LINEAR, *CANNOT_RANK])
    assert all(ladder.figures[figure] is not None for figure in RANKED)
    assert {failure.split(": ")[1] for failure in ladder.failures()} == {"no units"}


@pytest.mark.parametrize(
    ("name", "figure"),
    [*((name, figure) for name in LADDERS for figure in RANKED), ("bright", "infidelity")],
)
def test_the_ladder_stands(ladders: dict[str, Comparison], name: str, figure: str) -> None:
    ladder = ladders[name]
    perfect, random, constant, mirrored = (
        worth(ladder, rung, figure) for rung in ("perfect", "random", "constant", "mirrored")
    )
    slack = SLACK * (perfect - random)
    assert slack > 0
    for real in REAL[name]:
        assert perfect >= worth(ladder, real, figure) - slack
        # Half of the way at least, so that no metric passes which can hardly tell them apart.
        assert worth(ladder, real, figure) > (perfect + random) / 2
    assert random >= mirrored - slack
    assert math.isnan(constant) or random >= constant - slack


def test_infidelity_can_hardly_tell_where_the_model_answers_sharply(
    ladders: dict[str, Comparison],
) -> None:
    perfect, random = (worth(ladders["prototypes"], n, "infidelity") for n in ("perfect", "random"))
    assert random < perfect < 0
    assert perfect / random > 0.8


@pytest.mark.parametrize("figure", ["sparseness", "complexity", "scale_spectrum"])
def test_form_is_the_same_in_the_wrong_place(ladder: Comparison, figure: str) -> None:
    own, mirrored = (worth(ladder, name, figure) for name in ("perfect", "mirrored"))
    assert own == pytest.approx(mirrored, rel=1e-5)
    # Of form, too, the constant map has least.
    assert worth(ladder, "constant", figure) < worth(ladder, "random", figure) < own


@pytest.mark.parametrize("figure", ["random_deletion", "random_insertion"])
def test_references_are_the_same_for_all(ladder: Comparison, figure: str) -> None:
    assert ladder.figures[figure] is None
    assert len({ladder[name, figure] for name in ladder.explainers}) == 1


def test_only_methods_with_units_have_any(ladders: dict[str, Comparison]) -> None:
    for figure in ("active_units", "effective_units"):
        assert not any(ladders["bright"][name, figure] for name in ladders["bright"].explainers)
        assert ladders["prototypes"]["groups", figure].mean == pytest.approx(3, abs=0.1)
        assert ladders["prototypes"]["perfect", figure] is None


def test_the_steadiest_map_is_one_that_never_changes(ladders: dict[str, Comparison]) -> None:
    figure = "max_sensitivity"
    for name, ladder in ladders.items():
        assert worth(ladder, "constant", figure) == worth(ladder, "perfect", figure) == 0
        for real in REAL[name]:
            assert worth(ladder, "random", figure) < worth(ladder, real, figure) < 0


def test_the_truth_does_not_hang_on_the_model(ladders: dict[str, Comparison]) -> None:
    ladder, figure = ladders["prototypes"], "parameter_randomisation"
    assert ladder["perfect", figure].mean == 1
    assert ladder["groups", figure].mean < 0.9
    assert ladder["random", figure].mean == pytest.approx(0, abs=0.05)
    assert ladder["constant", figure] is None


def test_chance_is_cheap(ladder: Comparison) -> None:
    [real, *_] = [name for names in REAL.values() for name in names if name in ladder.explainers]
    for figure in ("forward_passes", "seconds"):
        assert worth(ladder, "random", figure) > worth(ladder, real, figure)
    assert ladder["random", "backward_passes"].mean == 0
