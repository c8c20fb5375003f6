"""Weights from loops and wrappers of one's own, loaded into a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from protoxai import LinearSegmenter, ScaleProtoSeg
from tests.toys import SMALL, Trunk, assert_same_output, small_model

IMAGES = torch.randn(1, 3, 16, 20)
OTHER = "other prototypes or groups .*: call model.restructure"


def pruned() -> ScaleProtoSeg:
    model = small_model()
    model.keep_prototypes([0, 2, 3, 7, 9, 10, 16])
    return model


class Loop(nn.Module):
    """As in a training loop of one's own, or a Lightning module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model)  # type: ignore[return-value]


WRAPPERS = [nn.DataParallel, compiled, lambda model: nn.DataParallel(compiled(model))]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("kind", [ScaleProtoSeg, LinearSegmenter])
def test_weights_of_a_wrapped_model(wrap: Callable[[nn.Module], nn.Module], kind: type) -> None:
    options: dict[str, Any] = SMALL if kind is ScaleProtoSeg else {"atrous_rates": (1, 2)}
    model, twin = (kind(Trunk(), 2, **options).eval() for _ in range(2))
    weights = wrap(model).state_dict()
    assert not set(weights) & set(model.state_dict())
    twin.load_state_dict(weights)
    assert torch.equal(twin(IMAGES).logits, model(IMAGES).logits)
    wrap(twin).load_state_dict(weights)


def test_weights_of_a_compiled_backbone(tmp_path: Path) -> None:
    model = small_model().eval()
    expected = model(IMAGES)
    plain = model.state_dict()
    model.backbone = compiled(model.backbone)
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    assert_same_output(twin(IMAGES), expected)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=compiled(Trunk()))
    assert twin.state_dict().keys() != plain.keys()
    twin.load_state_dict(plain)


@pytest.mark.parametrize("whole", [Loop, nn.DataParallel, lambda model: model])
def test_structure_is_read_from_a_state_dict(whole: Callable[[nn.Module], nn.Module]) -> None:
    model = pruned().group(2).eval()
    weights = whole(model).state_dict()
    twin = small_model()
    with pytest.raises(ValueError, match=OTHER):
        whole(twin).load_state_dict(weights)
    twin.restructure(weights)
    whole(twin).load_state_dict(weights)
    twin.backbone.load_state_dict(model.backbone.state_dict())
    assert_same_output(twin.eval()(IMAGES), model(IMAGES))


def test_equal_shapes_are_not_enough() -> None:
    """The same number of prototypes, but of other classes."""
    model = small_model()
    first, second = small_model(), small_model()
    first.keep_prototypes(range(1, len(model.table)))
    second.keep_prototypes(range(len(model.table) - 1))
    with pytest.raises(ValueError, match=OTHER):
        second.load_state_dict(first.state_dict())


@pytest.mark.parametrize("strict", [True, False])
def test_weights_without_structure(strict: bool) -> None:
    weights = small_model().state_dict()
    del weights["_extra_state"]
    small_model().load_state_dict(weights, strict=strict)
    with pytest.raises(ValueError, match=OTHER):
        pruned().load_state_dict(weights, strict=strict)
    with pytest.raises(ValueError, match="found no structure among"):
        pruned().restructure(weights)


@pytest.mark.parametrize("state", [None, {"a": 1}, torch.zeros(5), torch.arange(3)])
def test_extra_state_of_others(state: Any) -> None:
    weights = {**small_model().state_dict(), "_extra_state": state}
    with pytest.raises(ValueError, match=r"_extra_state is a .*, expected the structure"):
        small_model().load_state_dict(weights)


def test_weights_that_lack_a_tensor_are_refused_as_by_any_module() -> None:
    weights = small_model().state_dict()
    del weights["head.weight"]
    with pytest.raises(RuntimeError, match=r"head\.weight"):
        small_model().load_state_dict(weights)


@pytest.mark.parametrize("structure", [None, [1]])
def test_what_is_no_structure(structure: Any) -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
    with pytest.raises(TypeError, match=r"structure is .*expected the result of model\.structure"):
        model.restructure(structure)
