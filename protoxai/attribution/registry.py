"""Explainers by name, for comparisons and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from protoxai.attribution.base import AttributionMethod
from protoxai.runtime.checks import did_you_mean, function, shown
from protoxai.runtime.plugins import is_redefinition

Factory = TypeVar("Factory", bound=Callable[..., AttributionMethod])


@dataclass(frozen=True)
class RegisteredExplainer:
    """An explainer that is known by name.

    Attributes:
        create: Class or function that makes the explainer of a model, its only required argument.
        applies_to: Function that returns whether the explainer can explain a model.
    """

    create: Callable[..., AttributionMethod]
    applies_to: Callable[[nn.Module], bool]


EXPLAINERS: dict[str, RegisteredExplainer] = {}
"""All registered explainers by name, in the order of their registration."""


def _any_model(_model: nn.Module) -> bool:
    return True


def register_explainer(
    name: str, *, applies_to: Callable[[nn.Module], bool] = _any_model
) -> Callable[[Factory], Factory]:
    """Make an explainer available by name, in comparisons and on the command line.

    Args:
        name: Name of the explainer.
        applies_to: Function that returns whether the explainer can explain a model; by default it
            explains every model.

    Returns:
        A decorator of a class or function that takes a model and returns an
        :class:`~protoxai.attribution.AttributionMethod`.

    Raises:
        TypeError: If the name is not a string, or ``applies_to`` no function.
        ValueError: If the name is taken.

    Example:
        >>> import torch
        >>> @register_explainer("nothing")
        ... class Nothing(AttributionMethod):
        ...     def __init__(self, model):
        ...         super().__init__("nothing", model)
        ...     def attribute(self, images, region, class_index):
        ...         return torch.zeros_like(images[:, 0]), None
        >>> explainer_named("nothing").create(torch.nn.Conv2d(3, 5, 1))
        Nothing(model=Conv2d(...))
        >>> _ = EXPLAINERS.pop("nothing")
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an explainer is {shown(name)}, expected a string")
    function("applies_to", applies_to)

    def register(create: Factory) -> Factory:
        if name in EXPLAINERS and not is_redefinition(EXPLAINERS[name].create, create):
            raise ValueError(f"there is an explainer {name!r} already: choose another name")
        EXPLAINERS[name] = RegisteredExplainer(create, applies_to)
        return create

    return register


def explainer_named(name: str) -> RegisteredExplainer:
    """Return a registered explainer.

    Args:
        name: Name of the explainer.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> import torch
        >>> from protoxai import LinearSegmenter
        >>> model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=8), num_classes=2)
        >>> explainer_named("prototypes").applies_to(model)
        False
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an explainer is {shown(name)}, expected a string")
    if name not in EXPLAINERS:
        raise ValueError(
            f"there is no explainer {name!r}{did_you_mean(name, EXPLAINERS)}; expected one of "
            f"{', '.join(EXPLAINERS)}. Register your own with register_explainer, and import its "
            "module: --plugin on the command line"
        )
    return EXPLAINERS[name]
