"""Parts that are removed from the images of tasks: drawn lazily, scored once for a model."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoxai.comparison import Task, compare, select_tasks
from protoxai.comparison.memo import Explanations, ModelTask
from protoxai.data import MappedDataset, Shapes, evaluation_transform
from protoxai.metrics import part_drops, part_intervention
from tests.comparison.toys import TASKS, Scripted, quiet, red

SIZE = (40, 48)
NO_PARTS = "part_intervention is left out: the data set does not redraw its images without a part"


class Global(nn.Module):
    """A model that predicts class 1 everywhere, the surer the redder the whole image is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.0, 0, 0], [3, 1, -1]])[:, :, None, None])
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        logits = nn.functional.conv2d(images, self.weight)
        return (
            logits[:, :, ::2, ::2]
            + logits.mean((2, 3), keepdim=True)
            + torch.tensor([0, 9])[:, None, None]
        )


class Noted(Shapes):
    """Shapes with two classes that notes which pictures are redrawn."""

    def __init__(self) -> None:
        super().__init__(size=64, length=4, objects=(2, 3))
        self.redrawn: list[tuple[int, int]] = []

    def raw_without_parts(self, index: int, class_index: int):
        self.redrawn.append((index, class_index))
        return super().raw_without_parts(index, class_index)


def view_of(shapes):
    return shapes.with_transform(evaluation_transform(SIZE, mean=(0.4,) * 3, std=(0.2,) * 3))


def of_class_one(tasks: list[Task]) -> list[Task]:
    """The tasks, asked for class 1, which the model knows."""
    return [replace(t, class_index=torch.tensor([1]), labels=None) for t in tasks]


@pytest.fixture
def drawn() -> tuple[Noted, list[Task]]:
    shapes = Noted()
    view = view_of(shapes)
    tasks = select_tasks(view, tasks=None, skip=[0], without_parts=view.without_parts)
    return shapes, of_class_one(tasks)


def test_parts_are_drawn_when_a_metric_asks(drawn) -> None:
    shapes, tasks = drawn
    explainers = [Scripted("red", red, Global())]
    compare(explainers, tasks, metrics=["sparseness"], log=quiet)
    assert not shapes.redrawn
    compare(explainers, tasks, metrics=["part_intervention"], log=quiet)
    assert {index for index, _ in shapes.redrawn} == {task.image_index for task in tasks}
    assert len(shapes.redrawn) == len(tasks)


def test_values_are_those_of_the_functions_in_the_same_view(drawn) -> None:
    shapes, tasks = drawn
    model = Global()
    table = compare([Scripted("red", red, model)], tasks, metrics=["part_intervention"], log=quiet)
    values = table.results[0].values("part_intervention")
    assert len(values) >= 2

    def logits(images: Tensor) -> Tensor:
        with torch.no_grad():
            small = model(images)[:, 1:]
        return nn.functional.interpolate(small, SIZE, mode="bilinear", align_corners=False)[:, 0]

    view = view_of(Shapes(size=64, length=4, objects=(2, 3)))
    for task, (index, own) in zip(tasks, shapes.redrawn, strict=True):
        removed = [sample["image"] for sample in view.without_parts(index, own)]
        parts, drops = part_drops(logits, task.image, removed, torch.ones(SIZE, dtype=torch.bool))
        expected = float(part_intervention(task.image[:, 0], parts, drops))
        assert values.get(task.index, torch.nan) == pytest.approx(expected, nan_ok=True)
        # Away from a part, resizing leaves the image as it is.
        assert float(parts.float().mean((1, 2)).max()) < 0.6


def test_the_removed_parts_are_scored_once_for_all_explainers_of_a_model(drawn) -> None:
    _, tasks = drawn
    model = Global()
    parts = sum(len(list(task.without_parts())) for task in tasks)
    explainers = [Scripted("red", red, model), Scripted("blue", lambda x, _: x[:, 2], model)]
    model.images = 0
    compare(explainers, tasks, metrics=["part_intervention"], log=quiet)
    # For each task its region, the image itself, and each picture without a part.
    assert model.images == 2 * len(tasks) + parts
    other = Global()
    compare(
        [*explainers, Scripted("c", red, other)], tasks, metrics=["part_intervention"], log=quiet
    )
    assert other.images == 2 * len(tasks) + parts


def test_too_few_parts_are_counted_with_the_reason(drawn) -> None:
    _, tasks = drawn
    few = [task for task in tasks if len(list(task.without_parts())) < 3]
    assert few
    table = compare([Scripted("red", red, Global())], few, metrics=["part_intervention"], log=quiet)
    assert table["red", "part_intervention"] is None
    assert f"on {len(few)} tasks for red (fewer than 3 parts can be removed)" in table.to_text()


def test_tasks_without_parts_leave_the_metric_out() -> None:
    explainers = [Scripted("red", red), Scripted("again", red)]
    table = compare(explainers, TASKS, metrics=["sparseness", "part_intervention"], log=quiet)
    assert list(table.figures) == ["sparseness"]
    assert not table.failures()
    assert table.to_text().count(NO_PARTS) == table.to_markdown().count(NO_PARTS) == 1
    assert NO_PARTS in table.to_json()
    with pytest.raises(ValueError, match=f"no metric can be measured: {NO_PARTS}"):
        compare(explainers, TASKS, metrics=["part_intervention"], log=quiet)


def test_items_of_ones_own_may_be_redrawn() -> None:
    image = torch.arange(3 * 8 * 8, dtype=torch.uint8).view(3, 8, 8).flip(0)

    class Scans(list):
        def without_parts(self, index: int, class_index: int):
            for row in range(3 * class_index):
                changed = self[index][0].clone()
                changed[:, row] = 0
                yield changed, self[index][1]

    scans = MappedDataset(Scans([(image, torch.ones(8, 8).long())]), ["ground", "plant"])
    [task] = select_tasks(scans, without_parts=scans.without_parts)
    model = Global()
    parts, drops = ModelTask(model, task).part_drops
    assert parts.sum((1, 2)).tolist() == [8, 8, 8]
    assert (drops > 0).all()
    explained = Explanations(task).of(Scripted("red", red, model))
    assert explained.part_drops is not None
    assert torch.equal(explained.part_drops().drops, drops)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ({"image": torch.rand(3, 4, 5)}, "ValueError: without: got shape (3, 4, 5)"),
        (torch.rand(3, 4, 6), "TypeError: without_parts returned "),
        ({"labels": 3}, "TypeError: without_parts returned {'labels': 3}, expected mappings with"),
    ],
)
def test_redrawn_images_that_do_not_fit_are_an_error_of_the_metric_alone(removed, message) -> None:
    [task] = select_tasks(
        [{"image": torch.rand(3, 4, 6), "labels": torch.ones(4, 6).long()}],
        without_parts=lambda *_: [removed],
    )
    names = ["sparseness", "part_intervention"]
    table = compare([Scripted("red", red, Global())], [task], metrics=names, log=quiet)
    [failure] = table.failures()
    assert f"red, part_intervention: {message}" in failure
    assert table["red", "sparseness"] is not None
