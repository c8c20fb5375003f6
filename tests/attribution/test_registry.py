"""Explainers by name."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from protoxai import LinearSegmenter
from protoxai.attribution import (
    CAMS,
    EXPLAINERS,
    REFERENCE_MAPS,
    AttributionMethod,
    CaptumAttribution,
    PrototypeAttribution,
    explainer_named,
    register_explainer,
)
from protoxai.attribution.captum_methods import METHODS
from tests.attribution.toys import WEIGHT, Colours, some_tasks
from tests.toys import Trunk, small_model


class Zero(AttributionMethod):
    def __init__(self, model: nn.Module) -> None:
        super().__init__("zero", model)

    def attribute(self, images: Tensor, region: Tensor, class_index: Tensor) -> tuple[Tensor, None]:
        return torch.zeros_like(images[:, 0]), None


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = dict(EXPLAINERS)
    yield
    EXPLAINERS.clear()
    EXPLAINERS.update(before)


def test_built_in_explainers_are_registered_in_the_same_way() -> None:
    assert set(EXPLAINERS) == {
        "groups",
        "prototypes",
        "evidence_to_pixels",
        "RISE",
        *CAMS,
        *METHODS,
        *REFERENCE_MAPS,
    }
    model = small_model().group()
    for name in ("groups", "prototypes"):
        explainer = explainer_named(name).create(model)
        assert isinstance(explainer, PrototypeAttribution)
        assert explainer.units == explainer.name == name
    for name in METHODS:
        explainer = explainer_named(name).create(model)
        assert isinstance(explainer, CaptumAttribution)
        assert explainer.method == name


def test_explainers_know_the_models_they_apply_to() -> None:
    stage_1, stage_2 = small_model(), small_model().group()
    linear = LinearSegmenter(Trunk(), 3)
    applies = {
        name: [explainer_named(name).applies_to(model) for model in (stage_1, stage_2, linear)]
        for name in EXPLAINERS
    }
    assert applies.pop("groups") == [False, True, False]
    assert applies.pop("prototypes") == [True, True, False]
    assert applies.pop("evidence_to_pixels") == [True, True, False]
    assert all(all(row) for row in applies.values())


def test_own_explainers() -> None:
    assert register_explainer("zero")(Zero) is Zero
    registered = explainer_named("zero")
    assert registered.applies_to(nn.Identity())
    assert not registered.create(Colours(WEIGHT))(*some_tasks()).map.any()


def test_own_functions_that_apply_to_some_models() -> None:
    @register_explainer("zero", applies_to=lambda model: isinstance(model, Colours))
    def zero(model: nn.Module) -> Zero:
        return Zero(model)

    registered = explainer_named("zero")
    assert registered.applies_to(Colours(WEIGHT))
    assert not registered.applies_to(nn.Identity())
    assert isinstance(registered.create(Colours(WEIGHT)), Zero)


@pytest.mark.parametrize("name", ["groups", "Saliency"])
def test_a_taken_name_is_refused(name: str) -> None:
    before = EXPLAINERS[name]
    with pytest.raises(ValueError, match=f"there is an explainer '{name}' already: choose"):
        register_explainer(name)(Zero)
    assert EXPLAINERS[name] is before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("group", "no explainer 'group' .did you mean 'groups'"),
        ("saliency", "did you mean 'Saliency'"),
        ("zzz", "no explainer 'zzz'; expected one of "),
    ],
)
def test_unknown_names_come_with_close_ones(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explainer_named(name)
