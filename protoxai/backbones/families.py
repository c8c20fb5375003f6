"""Families of backbones: what stands before the slash in a name such as "timm/resnet50"."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from protoxai.backbones.base import Backbone
from protoxai.backbones.levels import Levels
from protoxai.backbones.weights import StateDict
from protoxai.runtime.checks import did_you_mean

BUILT_IN = {
    "timm": "protoxai.backbones.timm_models",
    "torchvision": "protoxai.backbones.torchvision_models",
    "deeplabv2": "protoxai.backbones.deeplabv2",
    "unet": "protoxai.backbones.unet",
}
"""Module of each built-in family, which registers the family when it is imported."""


class CreateBackbone(Protocol):
    """Function that creates a backbone of one family."""

    def __call__(
        self, name: str, *, weights: bool | StateDict, output_stride: int, levels: Levels
    ) -> Backbone:
        """Create a backbone.

        Args:
            name: Name of the model within the family.
            weights: True for pretrained weights, False for random ones, or a state dict.
            output_stride: Image pixels per pixel of the coarsest map.
            levels: Feature levels to return, see :func:`create_backbone`.

        Raises:
            ValueError: If there is no such model, level or output stride, or the weights do not
                fit.
        """


Create = TypeVar("Create", bound=CreateBackbone)


@dataclass(frozen=True)
class Family:
    """A family of backbones.

    Attributes:
        create: Function that creates a backbone of the family.
        names: Function that returns the names of the models, for suggestions in errors.
    """

    create: CreateBackbone
    names: Callable[[], Iterable[str]]


_REGISTERED: dict[str, Family] = {}


def register_backbone(
    family: str, *, names: Callable[[], Iterable[str]] = tuple
) -> Callable[[Create], Create]:
    """Make a family of backbones available as "<family>/<name>", in models and recipes.

    A family whose names include the empty one is also available as "<family>".

    Args:
        family: Name of the family.
        names: Function that returns the names of the models, for suggestions in errors.

    Returns:
        A decorator of a function of a name, ``weights``, ``output_stride`` and ``levels`` that
        returns a :class:`Backbone`; see :class:`CreateBackbone`.

    Raises:
        ValueError: If the name of the family is empty, contains a slash or is taken.

    Example:
        >>> from torch import nn
        >>> from protoxai.backbones import ModuleBackbone, create_backbone
        >>> @register_backbone("stem", names=lambda: ["small"])
        ... def create_stem(name, *, weights, output_stride, levels):
        ...     return ModuleBackbone(nn.Conv2d(3, 16, 4, stride=4), levels=levels)
        >>> create_backbone("stem/small").channels
        (16,)
        >>> _ = _REGISTERED.pop("stem")
    """
    if not family or "/" in family:
        raise ValueError(f"the family is {family!r}, expected a name without a slash")

    def register(create: Create) -> Create:
        if family in _REGISTERED or BUILT_IN.get(family, create.__module__) != create.__module__:
            raise ValueError(
                f"there is a family of backbones {family!r} already: choose another name"
            )
        _REGISTERED[family] = Family(create, names)
        return create

    return register


def family_named(family: str) -> Family | None:
    """Return a family of backbones, or None if there is none of that name.

    Args:
        family: Name of the family.
    """
    if family not in _REGISTERED and family in BUILT_IN:
        # The libraries are large, so each is imported when it is first used.
        importlib.import_module(BUILT_IN[family])
    return _REGISTERED.get(family)


def unknown_backbone(spec: str) -> ValueError:
    """Return an error for a name of no family, with the families and the closest names.

    Args:
        spec: Name of the backbone that was given.
    """
    families = list(dict.fromkeys([*BUILT_IN, *_REGISTERED]))
    known = [_full_name(family, name) for family in families for name in _names(family)]
    same_name = [full for full in known if full.partition("/")[2] == spec.rpartition("/")[-1]]
    hint = f" (did you mean {' or '.join(map(repr, same_name))}?)" if same_name else ""
    forms = ", ".join(
        repr(_full_name(family, "" if "" in _names(family) else "<name>")) for family in families
    )
    return ValueError(
        f"backbone {spec!r} is unknown, expected {forms}{hint or did_you_mean(spec, known)}"
    )


def _full_name(family: str, name: str) -> str:
    return f"{family}/{name}" if name else family


def _names(family: str) -> Iterable[str]:
    found = family_named(family)
    return found.names() if found else ()
