"""A black box of torchvision, with every method and metric."""

import math
import time

import pytest
import torch
from torch import nn

from protoxai.attribution import CAMS
from protoxai.attribution.captum_methods import METHODS, WITH_UNITS
from protoxai.comparison import Task, compare, explainers_of, select_tasks
from protoxai.data.shapes import Shapes
from protoxai.metrics import registered_metrics

SECONDS, CORES = 300, 2
MAY_BE_UNDEFINED = {
    "peak_memory",  # on the CPU
    "relevance_mass",  # where nothing of a map is positive
    "active_units",  # where no channel's evidence is
    "effective_units",
}


def calibrated(images: torch.Tensor) -> nn.Module:
    """A random model whose normalisation fits the images, or all maps would vanish."""
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    model = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=9)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, list[Task]]:
    torch.manual_seed(0)
    shapes = Shapes(size=64, length=16)
    model = calibrated(torch.stack([sample["image"] for sample in shapes]))
    with torch.no_grad():
        common = model(shapes[0]["image"][None])["out"].argmax(1).flatten().mode().values
    # With random weights, the class has to be one that the model predicts.
    chosen = select_tasks(shapes, tasks=2)
    tasks = [Task(t.index, t.image, t.truth, common[None]) for t in chosen]
    assert all(task.region(model).any() for task in tasks)
    return model, tasks


@pytest.mark.nightly
def test_a_black_box_goes_through_all_methods_and_metrics(case) -> None:
    model, tasks = case
    before = {name: value.clone() for name, value in model.state_dict().items()}
    started = time.process_time()
    names = [*METHODS, *CAMS]
    explainers = explainers_of([model], names, references=False)
    for explainer in explainers:
        explainer.name = explainer.name.removeprefix("DeepLabV3: ")
    assert [explainer.name for explainer in explainers] == names
    comparison = compare(explainers, tasks, metrics="all", log=lambda line: None)
    # Processor time does not depend on other work on the machine.
    assert time.process_time() - started < SECONDS * CORES
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())

    without = [name for name in names if name not in WITH_UNITS]
    assert comparison.failures() == [f"{', '.join(without)}, active_units: no units (n = 0)"]
    measured = len(registered_metrics()) - len(comparison.left_out)
    assert len(comparison.results) == len(names) * measured
    for result in comparison.results:
        if not result.failure:
            assert result.indices == (0, 1)
            for figure in result.figures:
                values = result.values(figure).values()
                assert all(map(math.isfinite, values)), (result.explainer, figure)
                assert len(values) == 2 or figure in MAY_BE_UNDEFINED, (result.explainer, figure)
