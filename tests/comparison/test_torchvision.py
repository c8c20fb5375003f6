"""A black box as it comes, through everything."""

import math
import time

import pytest
import torch
from torch import nn

from protoxai.attribution import CaptumAttribution
from protoxai.attribution.captum_methods import METHODS, WITH_UNITS
from protoxai.comparison import METRICS, Question, ask, compare
from protoxai.data.shapes.shapes import Shapes

SECONDS, CORES = 300, 2
MAY_BE_UNDEFINED = {
    "peak_memory",  # on the CPU
    "relevance_mass",  # where nothing of a map is positive
    "active_units",  # where no channel's evidence is
    "effective_units",
}


def calibrated(images: torch.Tensor) -> nn.Module:
    """Random weights, and the batch norm's statistics of these images: else all maps vanish."""
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    model = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=9)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, list[Question]]:
    torch.manual_seed(0)
    shapes = Shapes(size=64, length=16)
    model = calibrated(torch.stack([sample["image"] for sample in shapes]))
    with torch.no_grad():
        common = model(shapes[0]["image"][None])["out"].argmax(1).flatten().mode().values
    # Of weights that know nothing, the class has to be one that they predict.
    questions = [Question(q.index, q.image, q.truth, common[None]) for q in ask(shapes, images=2)]
    assert all(question.region(model).any() for question in questions)
    return model, questions


@pytest.mark.slow
def test_a_black_box_goes_through_all_methods_and_metrics(case) -> None:
    model, questions = case
    before = {name: value.clone() for name, value in model.state_dict().items()}
    started = time.process_time()
    explainers = [CaptumAttribution(name, model) for name in METHODS]
    comparison = compare(explainers, questions, say=lambda line: None)
    # Cores that others use make it no slower.
    assert time.process_time() - started < SECONDS * CORES
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())

    without = [name for name in METHODS if name not in WITH_UNITS]
    assert comparison.failures() == [f"{name}, active_units: no units" for name in without]
    assert len(comparison.cells) == len(METHODS) * len(METRICS)
    for cell in comparison.cells:
        if not cell.failure:
            assert cell.indices == (0, 1)
            for figure in cell.directions:
                values = cell.values(figure).values()
                assert all(map(math.isfinite, values)), (cell.explainer, figure)
                assert len(values) == 2 or figure in MAY_BE_UNDEFINED, (cell.explainer, figure)
