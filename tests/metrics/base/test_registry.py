"""Registering metrics by name; a comparison with one is in tests/comparison/test_compare.py."""

from typing import ClassVar

import pytest
from torch import Tensor

from protoxai.metrics import (
    PartConsistency,
    PerImageMetric,
    Sparseness,
    metric_named,
    register_metric,
    registered_metrics,
)
from protoxai.metrics.base import registry

BUILT_IN = [
    "faithfulness",
    "deletion_insertion",
    "pointing_game",
    "relevance_mass",
    "sparseness",
    "complexity",
    "scale_spectrum",
    "active_units",
    "perturbation_agreement",
    "infidelity",
    "max_sensitivity",
    "parameter_randomisation",
    "cost",
]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registered_metrics()
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))


class Mine(PerImageMetric):
    figures: ClassVar = {"mine": True}

    def update(self, attribution: Tensor, index=None) -> None:
        self.add_values(attribution.flatten(1).mean(1), index)

    def update_from(self, explained) -> None:
        self.update(explained.map, index=explained.index)


def test_built_in_metrics_have_the_order_of_the_stub() -> None:
    assert [name for name in registered_metrics() if name in BUILT_IN] == BUILT_IN
    assert metric_named("sparseness") is Sparseness


def test_a_users_metric_comes_after_the_built_in_ones() -> None:
    assert register_metric("mine")(Mine) is Mine
    assert list(registered_metrics())[-1] == "mine"
    assert metric_named("mine") is Mine


def test_a_taken_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is a metric 'sparseness' already"):
        register_metric("sparseness")(Mine)
    register_metric("mine")(Mine)
    other = type("Other", (Mine,), {"figures": {"other": True}})
    with pytest.raises(ValueError, match="there is a metric 'mine' already"):
        register_metric("mine")(other)


def test_a_definition_that_runs_again_replaces_the_first() -> None:
    register_metric("mine")(Mine)
    again = type("Mine", (Mine,), {"__module__": Mine.__module__})
    register_metric("mine")(again)
    assert metric_named("mine") is again


def test_a_taken_figure_is_an_error() -> None:
    class Other(Mine):
        figures: ClassVar = {"other": True, "deletion": True}

    with pytest.raises(
        ValueError, match=r"'deletion_insertion' has figures \['deletion'\] already"
    ):
        register_metric("other")(Other)


def test_classes_that_are_no_metrics_of_explanations_are_named() -> None:
    with pytest.raises(TypeError, match="expected a subclass of PerImageMetric"):
        register_metric("int")(int)
    with pytest.raises(TypeError, match="PartConsistency has no update_from"):
        register_metric("part_consistency")(PartConsistency)

    class Nameless(Mine):
        figures: ClassVar = {}

    with pytest.raises(TypeError, match=r"Nameless has the figures \{\}: name each"):
        register_metric("nameless")(Nameless)
    Nameless.figures = ["mine"]
    with pytest.raises(TypeError, match=r"Nameless has the figures \['mine'\]: name each"):
        register_metric("nameless")(Nameless)

    class WithoutUpdate(PerImageMetric):
        figures: ClassVar = {"mine": True}

        def update_from(self, explained) -> None: ...

    with pytest.raises(TypeError, match="WithoutUpdate has no update, which adds"):
        register_metric("mine")(WithoutUpdate)
    with pytest.raises(
        TypeError, match=r'expected a string: write @register_metric\("my_metric"\)'
    ):
        register_metric(Mine)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"'sparsenes' \(did you mean 'sparseness'\?\); expected one"
    ):
        metric_named("sparsenes")
