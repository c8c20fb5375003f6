"""Constructor arguments of metrics, for their representation."""

from __future__ import annotations

import inspect

from torchmetrics import Metric


def constructor_arguments(metric: Metric) -> dict[str, object]:
    """Return the arguments a metric was made with, those of its base classes included.

    Arguments are read from attributes of the same names; torchmetrics' own are left out, and so
    are those that are None by default and not given.

    Args:
        metric: Metric.

    Example:
        >>> from protoxai.metrics import ScaleSpectrum
        >>> constructor_arguments(ScaleSpectrum(bands=3))
        {'bands': 3, 'resamples': 1000, 'seed': 0}
    """
    arguments: dict[str, object] = {}
    for kind in type(metric).__mro__:
        if "__init__" not in vars(kind) or kind.__module__.startswith(("torchmetrics.", "torch.")):
            continue
        for name, parameter in inspect.signature(vars(kind)["__init__"]).parameters.items():
            if name == "self" or not hasattr(metric, name):
                continue
            value = getattr(metric, name)
            if value is not None or parameter.default is not None:
                arguments.setdefault(name, value)
    return arguments
