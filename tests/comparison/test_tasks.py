import pytest
import torch
from torch import Tensor, nn

from protoxai.comparison import Task, select_tasks
from tests.comparison.toys import SIZE, colours, red_corner


def sample(labels: list[list[int]], size: tuple[int, int] | None = None, **more) -> dict:
    known = torch.tensor(labels)
    return {"image": torch.rand(3, *(size or known.shape)), "labels": known, **more}


def classes(tasks: list[Task]) -> list[int]:
    return sorted(task.name.class_index for task in tasks)


def test_every_class_of_an_image_is_a_task() -> None:
    one = sample([[0, 2, 2], [1, 2, 0]])
    tasks = select_tasks([one])
    assert classes(tasks) == [0, 1, 2]
    assert [task.index for task in tasks] == [0, 1, 2]
    assert [(task.image_index, task.group) for task in tasks] == [(0, 0)] * 3
    for task in tasks:
        assert task.class_index.dtype == torch.int64
        assert task.class_index.shape == (1,)
        assert torch.equal(task.truth[0], one["labels"] == task.class_index)
        assert torch.equal(task.image, one["image"][None])


@pytest.mark.parametrize(("pixels", "expected"), [(9, [0]), (10, [0, 3])])
def test_a_class_covers_at_least_a_hundredth_of_the_image(pixels: int, expected: list[int]) -> None:
    labels = torch.zeros(20, 50, dtype=torch.int64)
    labels.view(-1)[:pixels] = 3
    assert classes(select_tasks([{"image": torch.rand(3, 20, 50), "labels": labels}])) == expected


@pytest.mark.parametrize(("ignore_index", "void"), [(255, 255), (-1, -1)])
def test_ignored_pixels_do_not_count(ignore_index: int, void: int) -> None:
    tasks = select_tasks([sample([[void, void, void, 3, 3, 4]])], ignore_index=ignore_index)
    assert classes(tasks) == [3, 4]


def test_classes_can_be_skipped() -> None:
    samples = [sample([[0, 0, 0, 4, 4, 7]])]
    assert classes(select_tasks(samples)) == [0, 4, 7]
    assert classes(select_tasks(samples, skip=[0])) == [4, 7]
    assert classes(select_tasks(samples, skip={0, 4})) == [7]


def test_images_without_a_class_are_left_out_and_the_others_keep_their_index() -> None:
    samples = [sample([[0, 0]]), sample([[255, 255]]), sample([[0, 1]])]
    [task] = select_tasks(samples, skip=[0])
    assert task.name == (0, 2, 1, 2)


def test_the_data_sets_index_is_kept() -> None:
    samples = [sample([[1]], index=31), sample([[1]], index=torch.tensor(7))]
    indices = [task.image_index for task in select_tasks(samples)]
    assert sorted(indices) == [7, 31]
    assert all(type(index) is int for index in indices)


class Counted(list):
    """A list that notes which items are read."""

    def __init__(self, *items) -> None:
        super().__init__(*items)
        self.read = []

    def __getitem__(self, place):
        self.read.append(place)
        return super().__getitem__(place)


def frames(videos: dict[str, int], count: int = 4) -> tuple[Counted, list[str]]:
    """Frames of videos that show several classes, and the video of each."""
    names = [name for name, length in videos.items() for _ in range(length)]
    return Counted(sample([list(range(count))]) for _ in names), names


def test_no_more_images_are_read_than_needed() -> None:
    samples, _ = frames({"a": 9})
    tasks = select_tasks(samples, tasks=3)
    assert [task.image_index for task in tasks] == samples.read
    assert len(samples.read) == 3


def test_groups_take_turns_and_images_come_before_second_classes() -> None:
    samples, names = frames({"a": 1, "b": 3, "c": 8})
    tasks = select_tasks(samples, tasks=None, group_of=names.__getitem__)
    groups = [task.group for task in tasks]
    assert [set(groups[:3]), set(groups[3:5]), set(groups[5:7])] == [
        {"a", "b", "c"},
        {"b", "c"},
        {"b", "c"},
    ]
    assert groups[7:12] == ["c"] * 5
    images = [task.image_index for task in tasks]
    assert sorted(images[:12]) == list(range(12))
    assert images[12:24] == images[24:36] == images[36:] == images[:12]
    pairs = {(task.image_index, int(task.class_index)) for task in tasks}
    assert len(pairs) == len(tasks) == 12 * 4


def test_fewer_tasks_are_the_beginning_of_more_and_fifty_are_drawn_by_default() -> None:
    samples, names = frames({"a": 30, "b": 40})
    few, many = (select_tasks(samples, tasks=n, group_of=names.__getitem__) for n in (10, 60))
    assert [task.name for task in few] == [task.name for task in many[:10]]
    assert len(select_tasks(samples)) == 50


def test_the_draw_is_seeded() -> None:
    samples, _ = frames({"a": 20})
    first, same, other = (
        [task.name for task in select_tasks(samples, tasks=8, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == same != other
    # Neither the first images nor the first classes are preferred.
    drawn = [task.name for seed in range(40) for task in select_tasks(samples, tasks=5, seed=seed)]
    assert {name.image for name in drawn} == set(range(20))
    counts = torch.tensor([name.class_index for name in drawn]).bincount(minlength=4)
    assert counts.min() > 25


def test_samples_may_be_a_stream() -> None:
    tasks = select_tasks((sample([[number]]) for number in range(4)), tasks=3)
    assert len({task.image_index for task in tasks}) == 3
    assert all(task.class_index == task.image_index for task in tasks)


def test_labels_of_another_size_are_sampled_at_the_images() -> None:
    labels = [[1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2]]
    [task] = select_tasks([sample(labels, size=(1, 3))], skip=[2])
    assert task.truth.tolist() == [[[True, True, False]]]
    [larger] = select_tasks([sample([[1, 2, 2]], size=(2, 6))], skip=[1])
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
        ({"tasks": 0}, ValueError, "tasks is 0"),
        ({"tasks": 2.5}, ValueError, "tasks is 2.5"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"group_of": [0]}, TypeError, "group_of"),
        ({"without_parts": [0]}, TypeError, "without_parts"),
        ({"background": -1}, ValueError, "background is -1"),
        ({"background": "sky"}, TypeError, "background"),
        ({"skip": ["sky"]}, TypeError, "skip is 'sky'"),
        ({"skip": "sky"}, TypeError, "skip is 'sky'"),
        ({"skip": [-1]}, ValueError, "skip is -1"),
    ],
)
def test_arguments_outside_their_range_are_errors(options, error, message) -> None:
    with pytest.raises(error, match=message):
        select_tasks([sample([[0, 1]])], **options)


def test_tasks_hold_the_labels_of_the_whole_image() -> None:
    known = [[0, 0, 2, 7], [1, 2, 2, 1]]
    tasks = select_tasks([sample(known)], skip=[0], ignore_index=7, background=0)
    assert classes(tasks) == [1, 2]
    for task in tasks:
        assert task.labels.dtype == torch.int64
        assert task.labels.tolist() == [known]
        assert torch.equal(task.truth, task.labels == task.class_index)
        assert (task.ignore_index, task.background) == (7, 0)
        assert task.without_parts is None
    [default] = select_tasks([sample([[1]])])
    assert (default.ignore_index, default.background) == (255, None)


def test_labels_of_another_size_are_those_at_the_images_pixels() -> None:
    [task] = select_tasks([sample([[1, 2, 2]], size=(2, 6))], skip=[1])
    assert task.labels.tolist() == [[[1, 1, 2, 2, 2, 2]] * 2]


def test_a_task_is_a_truth_or_labels_that_fit_it() -> None:
    image, labels, own = torch.rand(1, 3, 1, 2), torch.tensor([[[1, 0]]]), torch.tensor([1])
    assert Task(0, image, labels == 1, own).labels is None
    assert Task(0, image, labels == 1, own, labels=labels).labels is labels
    with pytest.raises(ValueError, match="task 3: the truth is not where the labels are the"):
        Task(3, image, labels == 0, own, labels=labels)


def test_images_without_parts_are_asked_for_by_place_and_class() -> None:
    asked = []

    def without_parts(place: int, class_index: int) -> list[dict]:
        asked.append((place, class_index))
        return [{"image": torch.rand(3, 1, 2)}]

    samples = [sample([[0, 1]], index=31), sample([[0, 2]], index=30)]
    tasks = select_tasks(samples, skip=[0], without_parts=without_parts)
    assert not asked
    for task in sorted(tasks, key=lambda task: task.name.class_index):
        [changed] = task.without_parts()
        assert changed["image"].shape == (3, 1, 2)
    assert asked == [(0, 1), (1, 2)]
