import pytest
import torch
from torch import Tensor, nn

from protoxai.comparison import ask
from tests.comparison.toys import SIZE, colours, red_corner


def sample(labels: list[list[int]], size: tuple[int, int] | None = None, **more) -> dict:
    known = torch.tensor(labels)
    return {"image": torch.rand(3, *(size or known.shape)), "labels": known, **more}


def test_the_largest_class_is_asked_for() -> None:
    one = sample([[0, 2, 2], [1, 2, 0]])
    [question] = ask([one])
    assert question.class_index.tolist() == [2]
    assert question.class_index.dtype == torch.int64
    assert question.truth.tolist() == [[[False, True, True], [False, True, False]]]
    assert torch.equal(question.image, one["image"][None])


@pytest.mark.parametrize(("ignore_index", "void"), [(255, 255), (-1, -1)])
def test_ignored_pixels_do_not_count(ignore_index: int, void: int) -> None:
    [question] = ask([sample([[void, void, void, 3, 3, 4]])], ignore_index=ignore_index)
    assert question.class_index.tolist() == [3]
    assert question.truth.tolist() == [[[False, False, False, True, True, False]]]


def test_classes_can_be_skipped() -> None:
    samples = [sample([[0, 0, 0, 4, 4, 7]])]
    assert ask(samples)[0].class_index.tolist() == [0]
    assert ask(samples, skip=[0])[0].class_index.tolist() == [4]
    assert ask(samples, skip={0, 4})[0].class_index.tolist() == [7]


def test_images_without_a_class_to_ask_for_are_left_out_and_keep_their_place() -> None:
    samples = [sample([[0, 0]]), sample([[255, 255]]), sample([[0, 1]])]
    [question] = ask(samples, skip=[0])
    assert question.index == 2
    assert question.class_index.tolist() == [1]


def test_the_data_sets_index_is_kept() -> None:
    samples = [sample([[1]], index=31), sample([[1]], index=torch.tensor(7))]
    indices = [question.index for question in ask(samples)]
    assert indices == [31, 7]
    assert all(type(index) is int for index in indices)


def test_no_more_images_are_drawn_than_asked_for() -> None:
    drawn = []

    def stream():
        for number in range(9):
            drawn.append(number)
            yield sample([[0 if number % 2 else 1]])

    questions = ask(stream(), images=2, skip=[0])
    assert [question.index for question in questions] == [0, 2]
    assert len(drawn) <= 4


def test_labels_of_another_size_are_sampled_at_the_images() -> None:
    labels = [[1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2]]
    [question] = ask([sample(labels, size=(1, 3))])
    assert question.truth.tolist() == [[[True, True, False]]]
    [larger] = ask([sample([[1, 2, 2]], size=(2, 6))])
    assert larger.truth.tolist() == [[[False, False, True, True, True, True]] * 2]


def test_the_region_is_what_the_model_predicts() -> None:
    question = red_corner(0)
    assert torch.equal(question.region(colours()), question.truth)
    assert torch.equal(red_corner(0, class_index=2).region(colours()), ~question.truth)


class Halved(nn.Module):
    """Logits at half the size, and a layer that behaves otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.head = colours()
        self.dropout = nn.Dropout2d(1.0)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.dropout(self.head(images[:, :, ::2, ::2]))}


def test_the_region_has_the_images_size_and_does_not_depend_on_the_mode() -> None:
    model = Halved().train()
    region = red_corner(0).region(model)
    assert region.shape == (1, *SIZE)
    assert 12 <= int(region.sum()) <= 24
    assert model.training
    assert model.dropout.training
    assert torch.equal(region, red_corner(0).region(model.eval()))
