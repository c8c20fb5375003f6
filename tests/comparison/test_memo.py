"""What is asked of models and explainers, and how often."""

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import SegmentationTarget
from protoxai.comparison import Comparison, compare
from protoxai.comparison.memo import Answers, Case, Cases, Remembered
from tests.comparison.toys import QUESTIONS, Scripted, colours, red


class Counted(nn.Module):
    """Counts the images that go through it."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.colours = colours()
        self.colours.weight.data *= factor
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.colours(images)


def measured(*explainers: Scripted, metrics: list[str]) -> Comparison:
    return compare(explainers, QUESTIONS, metrics=metrics, say=lambda line: None)


def test_no_image_is_scored_twice_and_each_has_its_own_score() -> None:
    scored: list[float] = []

    def score(images: Tensor) -> Tensor:
        scored.extend(images[:, 0, 0, 0].tolist())
        return 10 * images[:, 0, 0, 0]

    images = torch.tensor([1.0, 2, 3, 4])[:, None, None, None].expand(-1, 3, 2, 2)
    remembered = Remembered(score)
    assert remembered(images[[1, 0, 1]]).tolist() == [20, 10, 20]
    assert remembered(images[[3, 1, 2, 3]]).tolist() == [40, 20, 30, 40]
    assert remembered(images[[0, 2]]).tolist() == [10, 30]
    assert sorted(scored) == [1, 2, 3, 4]


def test_images_that_differ_in_a_bit_are_different() -> None:
    image = torch.rand(1, 3, 4, 4)
    other = image.clone()
    other[0, 2, 3, 3] = torch.nextafter(other[0, 2, 3, 3], torch.tensor(9.0))
    remembered = Remembered(lambda images: images.double().sum((1, 2, 3)))
    assert remembered(image) != remembered(other)


@pytest.mark.parametrize(("output", "name"), [("softmax", "softmax"), ("logits", "logit")])
def test_scores_are_the_regions_mean(output: str, name: str) -> None:
    model, question = colours(), QUESTIONS[0]
    case = Case(model, question)
    assert torch.equal(case.region, question.region(model))
    images = torch.rand(3, *question.image.shape[1:])
    target = SegmentationTarget(model, output=output)
    expected = target(images, case.region.expand(3, -1, -1), question.class_index.expand(3))
    torch.testing.assert_close(getattr(case, name)(images), expected)
    assert not getattr(case, name)(images).requires_grad


def test_a_question_is_put_to_each_model_once() -> None:
    one, other = Counted(), Counted(2.0)
    cases = Cases(QUESTIONS)
    first, second = Answers(Scripted("a", red, one), cases), Answers(Scripted("b", red, one), cases)
    assert first[1].case is second[1].case is first[1].case
    assert first[0].case is not first[1].case
    assert Answers(Scripted("c", red, other), cases)[1].case is not first[1].case
    assert (one.images, other.images) == (2, 1)
    assert first[1].explainer is not second[1].explainer


def test_explainers_of_a_model_share_what_the_model_says() -> None:
    model = Counted()

    def blue(images: Tensor, region: Tensor) -> Tensor:
        return images[:, 2]

    names = ["deletion_insertion", "infidelity"]
    alone = measured(Scripted("red", red, model), metrics=names)
    passes, model.images = model.images, 0
    # Of each image: its region; both ends, 19 steps there and back, and as many in a random order;
    # its logit, and that under ten draws of noise.
    assert passes == 2 * (1 + 2 + 4 * 19 + 11)
    same = measured(Scripted("red", red, model), Scripted("again", red, model), metrics=names)
    assert model.images == passes
    model.images = 0
    both = measured(Scripted("red", red, model), Scripted("blue", blue, model), metrics=names)
    assert model.images == passes + 2 * 2 * 19
    for figure in alone.figures:
        assert alone["red", figure] == same["red", figure] == same["again", figure]
        assert alone["red", figure] == both["red", figure]
    assert both["blue", "deletion"] != both["red", "deletion"]


def test_what_one_model_says_is_not_taken_for_anothers() -> None:
    names = ["deletion_insertion", "infidelity"]
    soft, sharp = Scripted("soft", red, Counted(0.5)), Scripted("sharp", red, Counted(4.0))
    both = measured(soft, sharp, metrics=names)
    for explainer in (soft, sharp):
        alone = measured(explainer, metrics=names)
        for figure in both.figures:
            assert both[explainer.name, figure] == alone[explainer.name, figure]
    assert both["soft", "random_deletion"] != both["sharp", "random_deletion"]
    assert both["soft", "infidelity"] != both["sharp", "infidelity"]


def test_the_map_is_not_explained_again() -> None:
    explainer = Scripted("red", red)
    measured(explainer, metrics=["sparseness", "max_sensitivity", "parameter_randomisation"])
    # Of each image: itself; ten changes of it; the one layer randomised.
    assert explainer.asked == 2 * (1 + 10 + 1)
