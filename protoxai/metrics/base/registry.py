"""Metrics by name, for comparisons and the command line."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.runtime.checks import did_you_mean, shown
from protoxai.runtime.plugins import is_redefinition

Kind = TypeVar("Kind", bound=type[PerImageMetric])

_REGISTERED: dict[str, type[PerImageMetric]] = {}


def register_metric(name: str) -> Callable[[Kind], Kind]:
    """Make a metric available by name, in comparisons and on the command line.

    The metric names its figures and implements ``update_from``. The built-in metrics are
    registered in the same way.

    Args:
        name: Name of the metric, such as ``compare(..., metrics=[name])`` takes it.

    Returns:
        A decorator of a subclass of :class:`PerImageMetric`.

    Raises:
        TypeError: If the name is not a string, or the class is not a :class:`PerImageMetric` or
            does not have ``figures``, ``update`` or ``update_from``.
        ValueError: If the name, or that of a figure, belongs to another class.

    Example:
        >>> import torch
        >>> from protoxai.metrics import PerImageMetric
        >>> @register_metric("negative_share")
        ... class NegativeShare(PerImageMetric):
        ...     figures = {"negative_share": False}
        ...     higher_is_better = False
        ...     def update(self, attribution, index=None):
        ...         values = (attribution < 0).flatten(1).double().mean(1)
        ...         self.add_values(values, index)
        ...     def update_from(self, explained):
        ...         self.update(explained.map, index=explained.index)
        >>> metric = metric_named("negative_share")()
        >>> metric.update(torch.tensor([[[-1.0, 2.0]]]))
        >>> float(metric.compute())
        0.5
        >>> _ = _REGISTERED.pop("negative_share")
    """
    if not isinstance(name, str):
        raise TypeError(
            f"the name of a metric is {shown(name)}, expected a string: write "
            '@register_metric("my_metric")'
        )

    def register(kind: Kind) -> Kind:
        _check_metric(kind)
        if not kind.__module__.startswith("protoxai.metrics."):
            # The built-in metrics load, so that a clash with one of them is reported here.
            registered_metrics()
        if name in _REGISTERED and not is_redefinition(_REGISTERED[name], kind):
            raise ValueError(f"there is a metric {name!r} already: choose another name")
        for other, registered in _REGISTERED.items():
            shared = sorted(set(kind.figures) & set(registered.figures))
            if shared and other != name:
                raise ValueError(
                    f"the metric {other!r} has figures {shared} already: choose other names"
                )
        _REGISTERED[name] = kind
        return kind

    return register


def registered_metrics() -> dict[str, type[PerImageMetric]]:
    """Return all registered metrics by name, the built-in ones first.

    The built-in metrics have the order of the package's stub, ``protoxai/metrics/__init__.pyi``,
    and others that of their registration.

    Example:
        >>> list(registered_metrics())[:3]
        ['faithfulness', 'patch_faithfulness', 'deletion_insertion']
    """
    package = importlib.import_module("protoxai.metrics")
    # The metrics register when their modules load.
    listed = [getattr(package, name) for name in package.__all__]

    def place(name: str) -> int:
        kind = _REGISTERED[name]
        return listed.index(kind) if kind in listed else len(listed)

    return {name: _REGISTERED[name] for name in sorted(_REGISTERED, key=place)}


def metric_named(name: str) -> type[PerImageMetric]:
    """Return a registered metric.

    Args:
        name: Name of the metric.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> metric_named("sparseness")
        <class 'protoxai.metrics.explanation.sparseness.Sparseness'>
    """
    known = registered_metrics()
    if not isinstance(name, str):
        raise TypeError(f"the name of a metric is {shown(name)}, expected a string")
    if name not in known:
        raise ValueError(
            f"there is no metric {name!r}{did_you_mean(name, known)}; expected one of "
            f"{', '.join(known)}. Register your own with register_metric, and import its module: "
            "--plugin on the command line"
        )
    return known[name]


def _check_metric(kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, PerImageMetric)):
        raise TypeError(f"{shown(kind)} is not a metric: expected a subclass of PerImageMetric")
    figures = getattr(kind, "figures", None)
    if not figures or not isinstance(figures, Mapping):
        raise TypeError(
            f"{kind.__name__} has the figures {shown(figures)}: name each, and "
            "whether higher is better, as in "
            f'figures = {{"{kind.__name__.lower()}": True}}'
        )
    unknown = sorted(set(kind.shares) - set(figures))
    if unknown:
        raise ValueError(
            f"{kind.__name__} has the shares {unknown}, expected some of its figures "
            f"{sorted(figures)}"
        )
    if kind.update_from is PerImageMetric.update_from:
        raise TypeError(
            f"{kind.__name__} has no update_from, which takes in an explained task: define it, as "
            "in self.update(explained.map, index=explained.index)"
        )
    if kind.update is PerImageMetric.update:
        raise TypeError(
            f"{kind.__name__} has no update, which adds a batch of images: define it, as in "
            "self.add_values(values, index)"
        )
