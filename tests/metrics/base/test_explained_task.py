"""Every metric of a comparison measures an explained task as its update does."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import Cost
from protoxai.metrics import (
    ActiveUnits,
    ExplainedTask,
    PerImageMetric,
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

    def logit(images: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images)[:, 0, :8].mean((1, 2))

    def explain(images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        assert len(region) == len(class_index) == len(images)
        return model(images)[:, 0].detach().exp()

    return ExplainedTask(
        index=5,
        image=image,
        class_index=torch.tensor([0]),
        truth=mask,
        region=mask,
        map=explain(image, mask, torch.tensor([0])),
        units=torch.tensor([[3.0, 1.0, -2.0]]),
        cost=Cost(3, 2, seconds=0.5, peak_memory=8),
        model=model,
        softmax=lambda images: logit(images).sigmoid(),
        logit=logit,
        explain=explain,
    )


def updates(task: ExplainedTask) -> dict[str, tuple]:
    """The arguments of each metric's update that correspond to the task."""
    against_truth = task.map, task.truth
    return {
        "faithfulness": (task.softmax, task.image[0], task.map[0], task.region[0]),
        "deletion_insertion": (task.softmax, task.image[0], task.map[0]),
        "pointing_game": against_truth,
        "relevance_mass": against_truth,
        "sparseness": (task.map,),
        "complexity": (task.map,),
        "scale_spectrum": (task.map,),
        "active_units": (task.units,),
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
