"""Models are found inside of PyTorch's wrappers, nested in any order."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from protoxai import explain, project_prototypes
from protoxai.attribution import CaptumAttribution, PrototypeAttribution
from protoxai.comparison import explainers_of
from protoxai.evaluation import evaluate, sliding_logits
from protoxai.projection import initialise_prototypes
from protoxai.runtime.wrappers import unwrapped
from tests.toys import random_batch, small_model


def compiled(model: nn.Module) -> nn.Module:
    wrapped: nn.Module = torch.compile(model, backend="eager")  # type: ignore[assignment]
    return wrapped


WRAPPERS = {
    "compiled": compiled,
    "DataParallel": nn.DataParallel,
    "both": lambda model: nn.DataParallel(compiled(model)),
    "the other way": lambda model: compiled(nn.DataParallel(model)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_models_are_unwrapped(name: str) -> None:
    model = small_model()
    assert unwrapped(WRAPPERS[name](model)) is model


def test_averaged_weights_are_unwrapped() -> None:
    averaged = AveragedModel(nn.Linear(1, 1))
    assert unwrapped(averaged) is averaged.module


@pytest.mark.parametrize("given", [None, 3, nn.Identity(), nn.Sequential(nn.Identity())])
def test_all_else_is_returned_as_it_is(given: object) -> None:
    assert unwrapped(given) is given


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapped_models_are_taken_wherever_models_are(name: str) -> None:
    model = small_model()
    wrapped = WRAPPERS[name](model)
    images, labels = random_batch()
    batch = {"image": images, "labels": labels}
    assert torch.equal(explain(wrapped, images[0]).prediction, explain(model, images[0]).prediction)
    assert PrototypeAttribution(wrapped).model is model
    assert CaptumAttribution("LayerGradCam", wrapped).layer is model.backbone
    assert explainers_of([wrapped], ["prototypes"])[0].name == "ScaleProtoSeg: prototypes"
    # NaN, for what is undefined, is not equal to itself.
    assert repr(evaluate(wrapped, [batch])) == repr(evaluate(model, [batch]))
    assert sliding_logits(wrapped, images, (16, 16), (8, 8)).shape == (4, 3, 16, 20)
    initialise_prototypes(wrapped, [batch])
    project_prototypes(wrapped, [batch])
    assert model.provenance is not None
