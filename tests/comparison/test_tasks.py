import pytest
import torch
from torch import Tensor, nn

from protoxai.comparison import select_tasks
from tests.comparison.toys import SIZE, colours, red_corner


def sample(labels: list[list[int]], size: tuple[int, int] | None = None, **more) -> dict:
    known = torch.tensor(labels)
    return {"image": torch.rand(3, *(size or known.shape)), "labels": known, **more}


def test_the_largest_class_is_explained() -> None:
    one = sample([[0, 2, 2], [1, 2, 0]])
    [task] = select_tasks([one])
    assert task.class_index.tolist() == [2]
    assert task.class_index.dtype == torch.int64
    assert task.truth.tolist() == [[[False, True, True], [False, True, False]]]
    assert torch.equal(task.image, one["image"][None])


@pytest.mark.parametrize(("ignore_index", "void"), [(255, 255), (-1, -1)])
def test_ignored_pixels_do_not_count(ignore_index: int, void: int) -> None:
    [task] = select_tasks([sample([[void, void, void, 3, 3, 4]])], ignore_index=ignore_index)
    assert task.class_index.tolist() == [3]
    assert task.truth.tolist() == [[[False, False, False, True, True, False]]]


def test_classes_can_be_skipped() -> None:
    samples = [sample([[0, 0, 0, 4, 4, 7]])]
    assert select_tasks(samples)[0].class_index.tolist() == [0]
    assert select_tasks(samples, skip=[0])[0].class_index.tolist() == [4]
    assert select_tasks(samples, skip={0, 4})[0].class_index.tolist() == [7]


def test_images_without_a_class_are_left_out_and_the_others_keep_their_index() -> None:
    samples = [sample([[0, 0]]), sample([[255, 255]]), sample([[0, 1]])]
    [task] = select_tasks(samples, skip=[0])
    assert task.index == 2
    assert task.class_index.tolist() == [1]


def test_the_data_sets_index_is_kept() -> None:
    samples = [sample([[1]], index=31), sample([[1]], index=torch.tensor(7))]
    indices = [task.index for task in select_tasks(samples)]
    assert indices == [31, 7]
    assert all(type(index) is int for index in indices)


def test_no_more_images_are_read_than_needed() -> None:
    drawn = []

    def stream():
        for number in range(9):
            drawn.append(number)
            yield sample([[0 if number % 2 else 1]])

    tasks = select_tasks(stream(), images=2, skip=[0])
    assert [task.index for task in tasks] == [0, 2]
    assert len(drawn) <= 4


def test_labels_of_another_size_are_sampled_at_the_images() -> None:
    labels = [[1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2]]
    [task] = select_tasks([sample(labels, size=(1, 3))])
    assert task.truth.tolist() == [[[True, True, False]]]
    [larger] = select_tasks([sample([[1, 2, 2]], size=(2, 6))])
    assert larger.truth.tolist() == [[[False, False, True, True, True, True]] * 2]


def test_the_region_is_what_the_model_predicts() -> None:
    task = red_corner(0)
    assert torch.equal(task.region(colours()), task.truth)
    assert torch.equal(red_corner(0, class_index=2).region(colours()), ~task.truth)


class Halved(nn.Module):
    """A model with logits at half the size and a layer that behaves differently in training."""

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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images": 0}, ValueError, "images is 0"),
        ({"images": 2.5}, ValueError, "images is 2.5"),
        ({"skip": ["sky"]}, TypeError, "skip is 'sky'"),
        ({"skip": "sky"}, TypeError, "skip is 'sky'"),
        ({"skip": [-1]}, ValueError, "skip is -1"),
    ],
)
def test_arguments_outside_their_range_are_errors(options, error, message) -> None:
    with pytest.raises(error, match=message):
        select_tasks([sample([[0, 1]])], **options)
