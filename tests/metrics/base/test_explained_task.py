"""Every metric of a comparison measures an explained task as its update does."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import Cost
from protoxai.metrics import (
    ActiveUnits,
    ExplainedTask,
    OffTargetLeakage,
    PartDrops,
    PartIntervention,
    PerImageMetric,
    TargetSensitivity,
    UndefinedError,
    registered_metrics,
)

SIZE = (16, 20)


def explained_task() -> ExplainedTask:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.Conv2d(2, 1, 1)).eval()
    image = torch.rand(1, 3, *SIZE, generator=generator)
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[:, :8] = True
    labels = torch.where(mask, 1, 0)
    labels[:, 12:], labels[:, 15:] = 2, 255
    parts = torch.zeros(4, *SIZE, dtype=torch.bool)
    for number in range(4):
        parts[number, :, number] = True

    def logit(images: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images)[:, 0, :8].mean((1, 2))

    def explain(images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        assert len(region) == len(class_index) == len(images)
        maps = model(images)[:, 0].detach().exp()
        return maps * images[:, 0].where(class_index[:, None, None] == 2, 1)

    return ExplainedTask(
        index=5,
        image=image,
        class_index=torch.tensor([1]),
        truth=mask,
        region=mask,
        map=explain(image, mask, torch.tensor([1])),
        units=torch.tensor([[3.0, 1.0, -2.0]]),
        cost=Cost(3, 2, seconds=0.5, peak_memory=8),
        model=model,
        softmax=lambda images: logit(images).sigmoid(),
        logit=logit,
        explain=explain,
        labels=labels,
        background=0,
        runner_up=torch.tensor([2]),
        part_drops=lambda: PartDrops(parts, torch.tensor([0.1, 3.0, 0.2, -1.0])),
    )


def updates(task: ExplainedTask) -> dict[str, tuple]:
    """The arguments of each metric's update that correspond to the task."""
    against_truth = task.map, task.truth
    return {
        "faithfulness": (task.softmax, task.image[0], task.map[0], task.region[0]),
        "patch_faithfulness": (task.softmax, task.image[0], task.map[0], task.region[0]),
        "deletion_insertion": (task.softmax, task.image[0], task.map[0]),
        "pointing_game": against_truth,
        "relevance_mass": against_truth,
        "off_target_leakage": (task.map, task.labels, task.class_index),
        "part_intervention": (task.map, *task.part_drops()),
        "sparseness": (task.map,),
        "complexity": (task.map,),
        "scale_spectrum": (task.map,),
        "active_units": (task.units,),
        "target_sensitivity": (task.map, task.map * task.image[:, 0]),
        "perturbation_agreement": (task.logit, task.image[0], task.map[0]),
        "infidelity": (task.logit, task.image, task.map),
        "max_sensitivity": (task.explain, task.image, task.arguments),
        "parameter_randomisation": (task.model, task.explain, task.image, task.arguments),
        "cost": (task.cost,),
    }


@pytest.mark.parametrize(("name", "kind"), registered_metrics().items(), ids=registered_metrics())
def test_a_task_is_measured_as_by_update(name: str, kind: type[PerImageMetric]) -> None:
    task = explained_task()
    one, other = (kind.for_model(task.model, seed=3) for _ in range(2))
    one.update_from(task)
    other.update(*updates(task)[name], index=5)
    (index, values), (_, expected) = one.per_image(), other.per_image()
    assert index.tolist() == [5]
    assert values.shape == (1, len(kind.figures))
    assert not values.isnan().any()
    torch.testing.assert_close(values, expected)
    assert one.seed == 3


def test_without_units_the_metric_of_units_is_undefined() -> None:
    with pytest.raises(UndefinedError, match="no units"):
        ActiveUnits().update_from(replace(explained_task(), units=None))


def test_the_map_of_another_class_is_explained_over_the_same_region() -> None:
    asked = []

    def explain(images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        asked.append((images, region, int(class_index)))
        return region.float()

    task = replace(explained_task(), explain=explain)
    assert not asked
    task.map_of()
    task.map_of(torch.tensor([3]))
    assert [own for *_, own in asked] == [2, 3]
    for images, region, _ in asked:
        assert images is task.image
        assert region is task.region
    with pytest.raises(UndefinedError, match="the model has a single class"):
        replace(task, runner_up=None).map_of()


@pytest.mark.parametrize(
    ("metric", "lacking", "message"),
    [
        (OffTargetLeakage, {"labels": None}, "no labels of the whole image"),
        (PartIntervention, {"part_drops": None}, "does not redraw its images without a part"),
        (TargetSensitivity, {"runner_up": None}, "the model has a single class"),
    ],
)
def test_without_what_a_metric_needs_it_is_undefined(metric, lacking, message) -> None:
    with pytest.raises(UndefinedError, match=message):
        metric().update_from(replace(explained_task(), **lacking))


NOTHING = torch.zeros(1, *SIZE)
FEW = PartDrops(torch.ones(2, *SIZE).bool(), torch.rand(2))
EQUAL = PartDrops(torch.ones(3, *SIZE).bool(), torch.zeros(3))


@pytest.mark.parametrize(
    ("metric", "changed", "reason"),
    [
        (OffTargetLeakage, {"background": None}, "there is no background beside the class"),
        (OffTargetLeakage, {"background": 1}, "there is no background beside the class"),
        (OffTargetLeakage, {"map": NOTHING}, "the map is 0 everywhere"),
        (OffTargetLeakage, {"labels": NOTHING.long()}, "the class is not labelled"),
        (PartIntervention, {"part_drops": lambda: FEW}, "fewer than 3 parts can be removed"),
        (PartIntervention, {"part_drops": lambda: EQUAL}, "on the parts are equal, or the"),
        (TargetSensitivity, {"map": NOTHING}, "the map is 0 everywhere"),
        (
            TargetSensitivity,
            {"explain": lambda images, *_: torch.ones_like(images[:, 0])},
            "the map of the runner-up class is the same everywhere",
        ),
    ],
)
def test_the_reason_of_an_undefined_value_is_named(metric, changed, reason) -> None:
    task = replace(explained_task(), **changed)
    if "labels" in changed:
        task = replace(task, truth=task.labels == 1)
    measured = metric()
    measured.update_from(task)
    _, values = measured.per_image()
    assert values.isnan().any()
    assert reason in measured.why_undefined(task)
    empty = replace(task, region=torch.zeros_like(task.region))
    assert measured.why_undefined(empty) == "the model does not predict the class"


def test_the_background_and_the_ignored_label_are_those_of_the_task() -> None:
    task = replace(explained_task(), background=2, ignore_index=0)
    task = replace(task, labels=task.labels.where(task.labels < 255, 2))
    metric, same = OffTargetLeakage(), OffTargetLeakage(background=2, ignore_index=0)
    metric.update_from(task)
    same.update(task.map, task.labels, task.class_index, index=5)
    assert torch.equal(metric.per_image()[1], same.per_image()[1])
    assert metric.per_image()[1][0, 1] < 1e-6
