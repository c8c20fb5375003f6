"""How often models and explainers run."""

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import SegmentationTarget
from protoxai.comparison import Comparison, Task, compare
from protoxai.comparison.memo import Explanations, MemoizedScore, ModelTask
from tests.comparison.toys import TASKS, Scripted, colours, red


class Counted(nn.Module):
    """A model that counts its images."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.colours = colours()
        self.colours.weight.data *= factor
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.colours(images)


def measured(*explainers: Scripted, metrics: list[str]) -> Comparison:
    return compare(explainers, TASKS, metrics=metrics, log=lambda line: None)


def test_no_image_is_scored_twice_and_each_has_its_own_score() -> None:
    scored: list[float] = []

    def score(images: Tensor) -> Tensor:
        scored.extend(images[:, 0, 0, 0].tolist())
        return 10 * images[:, 0, 0, 0]

    images = torch.tensor([1.0, 2, 3, 4])[:, None, None, None].expand(-1, 3, 2, 2)
    memoized = MemoizedScore(score)
    assert memoized(images[[1, 0, 1]]).tolist() == [20, 10, 20]
    assert memoized(images[[3, 1, 2, 3]]).tolist() == [40, 20, 30, 40]
    assert memoized(images[[0, 2]]).tolist() == [10, 30]
    assert sorted(scored) == [1, 2, 3, 4]


def test_images_that_differ_in_a_bit_are_different() -> None:
    image = torch.rand(1, 3, 4, 4)
    other = image.clone()
    other[0, 2, 3, 3] = torch.nextafter(other[0, 2, 3, 3], torch.tensor(9.0))
    memoized = MemoizedScore(lambda images: images.double().sum((1, 2, 3)))
    assert memoized(image) != memoized(other)


@pytest.mark.parametrize(("output", "name"), [("softmax", "softmax"), ("logits", "logit")])
def test_scores_are_the_regions_mean(output: str, name: str) -> None:
    model, task = colours(), TASKS[0]
    own = ModelTask(model, task)
    assert torch.equal(own.region, task.region(model))
    images = torch.rand(3, *task.image.shape[1:])
    target = SegmentationTarget(model, output=output)
    expected = target(images, own.region.expand(3, -1, -1), task.class_index.expand(3))
    torch.testing.assert_close(getattr(own, name)(images), expected)
    assert not getattr(own, name)(images).requires_grad


def test_a_model_predicts_a_task_once() -> None:
    one, other = Counted(), Counted(2.0)
    explanations = Explanations(TASKS[1])
    first, second = Scripted("a", red, one), Scripted("b", red, one)
    explained = explanations.of(first)
    assert explanations.of(second).logit is explained.logit
    assert explanations.of(Scripted("c", red, other)).logit is not explained.logit
    assert Explanations(TASKS[0]).of(first).logit is not explained.logit
    assert (one.images, other.images) == (2, 1)
    assert explanations.of(first) is explained is not explanations.of(second)
    assert (first.explained, second.explained) == (2, 1)


def test_an_explained_task_holds_the_task_and_its_explanation() -> None:
    explainer = Scripted("red", red, units=[1.0, 2.0])
    task = TASKS[1]
    explained = Explanations(task).of(explainer)
    assert explained.index == 9
    assert torch.equal(explained.image, task.image)
    assert torch.equal(explained.truth, task.truth)
    assert torch.equal(explained.map, task.image[:, 0])
    assert torch.equal(explained.units, torch.tensor([[1.0, 2.0]]))
    assert explained.model is explainer.model
    assert explained.cost.backward_passes == 0
    region, class_index = explained.arguments
    assert torch.equal(region, task.region(explainer.model))
    assert class_index.tolist() == [0]
    changed = torch.rand(1, 3, *task.image.shape[2:])
    assert torch.equal(explained.explain(changed, *explained.arguments), changed[:, 0])


def test_the_runner_up_has_the_next_highest_logit_over_the_region() -> None:
    image = torch.zeros(1, 3, 2, 3)
    # Class 0 is predicted in the first row; there class 1 is next, and class 2 in the second.
    image[0, :, 0] = torch.tensor([0.9, 0.5, 0.1])[:, None]
    image[0, :, 1] = torch.tensor([0.1, 0.0, 0.9])[:, None]
    own = Task(0, image, image[:, 0] > 0.5, torch.tensor([0]))
    predicted = ModelTask(colours(), own)
    assert predicted.region.tolist() == [[[True] * 3, [False] * 3]]
    assert predicted.runner_up.tolist() == [1]
    assert predicted.runner_up.dtype == torch.int64
    other = Task(0, image, image[:, 0] > 0.5, torch.tensor([2]))
    assert ModelTask(colours(), other).runner_up.tolist() == [0]
    # Where the class is not predicted, it is any other one.
    nowhere = ModelTask(colours(), Task(0, image, image[:, 0] > 0.5, torch.tensor([1])))
    assert not nowhere.region.any()
    assert nowhere.runner_up.tolist() != [1]


def test_a_model_with_one_class_has_no_runner_up() -> None:
    task = Task(0, torch.rand(1, 3, 2, 2), torch.ones(1, 2, 2).bool(), torch.tensor([0]))
    assert ModelTask(nn.Conv2d(3, 1, 1), task).runner_up is None


def test_the_map_of_the_runner_up_is_explained_when_a_metric_asks() -> None:
    asked = []

    class Asked(Scripted):
        def attribute(self, images: Tensor, region: Tensor, class_index: Tensor):
            asked.append((int(class_index), int(region.sum())))
            return super().attribute(images, region, class_index)

    explainer = Asked("red", red)
    measured(explainer, metrics=["sparseness"])
    pixels = 4 * 5
    assert asked == [(0, pixels)] * 2
    asked.clear()
    table = measured(explainer, metrics=["target_sensitivity", "sparseness"])
    others = [int(ModelTask(explainer.model, task).runner_up) for task in TASKS]
    assert asked == [own for other in others for own in ((0, pixels), (other, pixels))]
    # The map is red, whatever is asked.
    assert table["red", "target_sensitivity"].mean == pytest.approx(0)


def test_explainers_of_a_model_share_its_scores() -> None:
    model = Counted()

    def blue(images: Tensor, region: Tensor) -> Tensor:
        return images[:, 2]

    names = ["deletion_insertion", "infidelity"]
    alone = measured(Scripted("red", red, model), metrics=names)
    passes, model.images = model.images, 0
    # For each image: its region; both ends, 19 steps of deletion and 19 of insertion; its logit,
    # and its logit under ten samples of noise.
    assert passes == 2 * (1 + 2 + 2 * 19 + 11)
    same = measured(Scripted("red", red, model), Scripted("again", red, model), metrics=names)
    assert model.images == passes
    model.images = 0
    both = measured(Scripted("red", red, model), Scripted("blue", blue, model), metrics=names)
    assert model.images == passes + 2 * 2 * 19
    for figure in alone.figures:
        assert alone["red", figure] == same["red", figure] == same["again", figure]
        assert alone["red", figure] == both["red", figure]
    assert both["blue", "deletion"] != both["red", "deletion"]


def test_scores_of_models_are_not_mixed_up() -> None:
    names = ["deletion_insertion", "infidelity"]
    soft, sharp = Scripted("soft", red, Counted(0.5)), Scripted("sharp", red, Counted(4.0))
    both = measured(soft, sharp, metrics=names)
    for explainer in (soft, sharp):
        alone = measured(explainer, metrics=names)
        for figure in both.figures:
            assert both[explainer.name, figure] == alone[explainer.name, figure]
    assert both["soft", "deletion"] != both["sharp", "deletion"]
    assert both["soft", "infidelity"] != both["sharp", "infidelity"]


def test_the_map_is_not_explained_again() -> None:
    explainer = Scripted("red", red)
    measured(explainer, metrics=["sparseness", "max_sensitivity", "parameter_randomisation"])
    # For each image: itself; ten changed images; the one layer randomised.
    assert explainer.explained == 2 * (1 + 10 + 1)
