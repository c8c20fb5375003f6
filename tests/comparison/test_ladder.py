"""Explainers of known quality: the truth, real ones, chance, and a constant map."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoxai import PrototypeTable
from protoxai.attribution import AttributionMethod, CaptumAttribution, PrototypeAttribution
from protoxai.comparison import Comparison, Task, compare, select_tasks
from protoxai.data.shapes import Shapes
from tests.comparison.toys import Scripted, quiet
from tests.toys import colour_model, set_prototypes

IMAGES = 6
REAL = {"bright": ("InputXGradient", "Saliency"), "prototypes": ("groups",)}
LADDERS = tuple(REAL)
RANKED = (
    "faithfulness",
    "patch_faithfulness",
    "pointing_game",
    "relevance_mass",
    "off_target_leakage",
    "other_class_leakage",
    "background_leakage",
)
ABOVE_CHANCE = {
    "perturbation_agreement": "a constant map predicts that larger squares have a larger effect"
}
ONLY_NEARLY_LINEAR = {
    "infidelity": "noise on all pixels: no map predicts its effect on a model far from linear"
}
CANNOT_RANK = {
    "deletion": "the smoothness of a map too: scattered pixels are imputed nearly as they were",
    "insertion": "the smoothness of a map too: scattered pixels are imputed nearly as they were",
    "context_faithfulness": "the context: a pixel's class depends on its neighbours at most",
    "part_intervention": "the size of the parts too, for the larger ones have the larger sums; and "
    "what is left of the region hardly changes where a pixel's class depends on its neighbours",
    "target_sensitivity": "dependence on the class: the truth has none, chance seems to have",
    "sparseness": "the form of a map: mirrored, it is as sparse",
    "complexity": "the form of a map: mirrored, it has the same",
    "scale_spectrum": "the form of a map: mirrored, it has the same",
    "active_units": "the number of units, not whether they are right; few methods have any",
    "effective_units": "the number of units, not whether they are right",
    "max_sensitivity": "the stability of a map: a constant map is the most stable",
    "parameter_randomisation": "dependence on the model: the truth has none, chance seems to have",
    "randomisation_passed": "dependence on the model: the truth has none, chance seems to have",
    "forward_passes": "effort: chance is cheap",
    "backward_passes": "effort: chance is cheap",
    "seconds": "effort: chance is cheap",
    "peak_memory": "effort: chance is cheap; unknown on the CPU",
}
SLACK = 0.1
"""Tolerance, as a share of the difference between chance and the truth. A map can follow the model
better than the truth does, for example where borders count for less."""


class Bright(nn.Module):
    """A model that predicts class 1 where a pixel and its neighbours are bright."""

    def __init__(self) -> None:
        super().__init__()
        self.box = nn.Conv2d(3, 1, 3, padding=1)
        self.box.weight.data.fill_(1 / 27)
        self.box.bias.data.fill_(-0.5)

    def forward(self, images: Tensor) -> Tensor:
        logit = 10 * self.box(images)
        return torch.cat([torch.zeros_like(logit), logit], 1)


def painted(sample: dict, own: int) -> dict:
    """A picture of Shapes in which everything but one class is darkened.

    Its label is 1, that of the background 0, that of the others 2.
    """
    labels = sample["labels"]
    mask = labels == own
    image = 0.3 * sample["image"] + 0.7 * mask
    known = torch.where(mask, 1, 2 * (labels > 0).long())
    return {"image": image, "labels": known, "index": sample["index"]}


def largest(sample: dict) -> int:
    """The class with the most pixels, beside the background."""
    labels = sample["labels"]
    return int(labels[labels > 0].bincount().argmax())


def truth_of(tasks: list[Task], mirrored: bool = False):
    """An explanation that returns the truth, also for a slightly changed image."""

    def explain(images: Tensor, region: Tensor) -> Tensor:
        own = [min(tasks, key=lambda t: (t.image - i).square().sum()) for i in images]
        maps = torch.cat([task.truth for task in own]).float()
        return maps.flip(1, 2) if mirrored else maps

    return explain


def chance():
    """An explanation that returns fresh noise at each call."""
    generator = torch.Generator().manual_seed(0)

    def explain(images: Tensor, region: Tensor) -> Tensor:
        return torch.randn(region.shape, generator=generator)

    return explain


def nothing(images: Tensor, region: Tensor) -> Tensor:
    return torch.ones(region.shape)


def prototypes() -> nn.Module:
    """A model with a bright and a dark prototype in each of red, green and blue."""
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=1)
    model = colour_model(table).eval()
    set_prototypes(model, [(0.15, 0.85)[c] for c in table.class_index.tolist()])
    return model


@pytest.fixture(scope="module")
def ladders() -> dict[str, Comparison]:
    """A comparison for each model: figures that depend on its logits are not comparable."""
    shapes = Shapes(size=64, length=IMAGES, split="val")
    classes = [largest(sample) for sample in shapes]

    def without_parts(place: int, class_index: int):
        for sample in shapes.without_parts(place, classes[place]):
            yield painted(sample, classes[place])

    pictures = [painted(*each) for each in zip(shapes, classes, strict=True)]
    drawn = select_tasks(pictures, skip=[0, 2], background=0, without_parts=without_parts)
    # In the order of the images, by whose numbers the metrics seed their noise.
    tasks = [replace(task, index=task.image_index) for task in drawn]
    tasks.sort(key=lambda task: task.index)
    assert len(tasks) == IMAGES
    bright, colours = Bright().eval(), prototypes()
    real: dict[str, list[AttributionMethod]] = {
        "bright": [CaptumAttribution(name, bright) for name in REAL["bright"]],
        "prototypes": [PrototypeAttribution(colours)],
    }
    comparisons = {}
    for name, explainers in real.items():
        model = explainers[0].model
        rungs = [
            Scripted("perfect", truth_of(tasks), model),
            *explainers,
            Scripted("random", chance(), model),
            Scripted("constant", nothing, model),
            Scripted("mirrored", truth_of(tasks, mirrored=True), model),
        ]
        comparisons[name] = compare(rungs, tasks, metrics="all", log=quiet)
    return comparisons


@pytest.fixture(params=LADDERS)
def ladder(ladders: dict[str, Comparison], request: pytest.FixtureRequest) -> Comparison:
    return ladders[request.param]


def worth(ladder: Comparison, explainer: str, figure: str) -> float:
    """The figure with its sign such that higher is better; NaN if it is undefined."""
    value = ladder[explainer, figure]
    if value is None:
        return math.nan
    return value.mean if ladder.figures[figure] else -value.mean


def test_every_figure_is_ranked_or_named_with_the_reason_why_not(ladder: Comparison) -> None:
    assert sorted(ladder.figures) == sorted(
        [*RANKED, *ABOVE_CHANCE, *ONLY_NEARLY_LINEAR, *CANNOT_RANK]
    )
    assert all(ladder.figures[figure] is not None for figure in RANKED)
    assert {failure.split(": ")[1] for failure in ladder.failures()} == {"no units (n = 0)"}


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
        # A metric that can hardly distinguish them must not pass.
        assert worth(ladder, real, figure) > (perfect + random) / 2
    assert random >= mirrored - slack
    assert math.isnan(constant) or random >= constant - slack


@pytest.mark.parametrize("name", LADDERS)
@pytest.mark.parametrize("figure", ABOVE_CHANCE)
def test_real_explainers_are_above_chance(
    ladders: dict[str, Comparison], name: str, figure: str
) -> None:
    ladder = ladders[name]
    chance = max(worth(ladder, rung, figure) for rung in ("random", "constant", "mirrored"))
    slack = SLACK * (worth(ladder, "perfect", figure) - chance)
    assert slack > 0
    for real in REAL[name]:
        value = worth(ladder, real, figure)
        assert worth(ladder, "perfect", figure) >= value - slack
        assert value > chance + slack


def test_infidelity_hardly_ranks_where_the_model_is_far_from_linear(
    ladders: dict[str, Comparison],
) -> None:
    perfect, random = (worth(ladders["prototypes"], n, "infidelity") for n in ("perfect", "random"))
    # Whichever comes first, the truth and noise differ by less than a fifth.
    assert max(perfect, random) < 0
    assert 0.8 < perfect / random < 1.25


@pytest.mark.parametrize(
    ("figure", "sign"), [("sparseness", 1), ("complexity", -1), ("scale_spectrum", 1)]
)
def test_form_is_the_same_in_the_wrong_place(ladder: Comparison, figure: str, sign: int) -> None:
    assert ladder.figures[figure] is None
    own, mirrored, random, constant = (
        sign * ladder[name, figure].mean for name in ("perfect", "mirrored", "random", "constant")
    )
    assert own == pytest.approx(mirrored, rel=1e-5)
    # The constant map has the least structure.
    assert constant < random < own


def test_only_methods_with_units_have_any(ladders: dict[str, Comparison]) -> None:
    for figure in ("active_units", "effective_units"):
        assert not any(ladders["bright"][name, figure] for name in ladders["bright"].explainers)
        assert ladders["prototypes"]["groups", figure].mean == pytest.approx(3, abs=0.1)
        assert ladders["prototypes"]["perfect", figure] is None


def test_the_most_stable_map_is_one_that_never_changes(ladders: dict[str, Comparison]) -> None:
    figure = "max_sensitivity"
    for name, ladder in ladders.items():
        assert worth(ladder, "constant", figure) == worth(ladder, "perfect", figure) == 0
        for real in REAL[name]:
            assert worth(ladder, "random", figure) < worth(ladder, real, figure) < 0


def test_the_truth_does_not_depend_on_the_model(ladders: dict[str, Comparison]) -> None:
    ladder, figure = ladders["prototypes"], "parameter_randomisation"
    assert ladder["perfect", figure].mean == 1
    assert ladder["groups", figure].mean < 0.9
    assert ladder["perfect", "randomisation_passed"].mean == 0
    assert ladder["random", "randomisation_passed"].mean == 1
    assert ladder["random", figure].mean == pytest.approx(0, abs=0.05)
    assert ladder["constant", figure] is None


def test_chance_is_cheap(ladder: Comparison) -> None:
    [real, *_] = [name for names in REAL.values() for name in names if name in ladder.explainers]
    for figure in ("forward_passes", "seconds"):
        assert worth(ladder, "random", figure) > worth(ladder, real, figure)
    assert ladder["random", "backward_passes"].mean == 0
