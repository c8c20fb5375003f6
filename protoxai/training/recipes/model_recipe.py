"""The model of a recipe: the options of the model itself, and a few of its training."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from protoxai.model.options import ScaleProtoSegOptions, options_of
from protoxai.runtime.checks import Range
from protoxai.training.recipes.construct import check_fields

# A recipe names its backbone, and its data set names the classes; tables are not written as text.
LEFT_OUT = ("table", "feature_channels", "class_names")

Class = TypeVar("Class", bound=type)


def _as_read(hint: Any) -> Any:
    """Return the type of an option as a recipe has it: tuples for sequences, text for paths."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return reduce(or_, (_as_read(option) for option in inner if option is not Path))
    if origin is Sequence:
        return tuple.__class_getitem__((_as_read(inner[0]), ...))
    return hint


def with_model_options(recipe: Class) -> Class:
    """Give a recipe every option of :class:`~protoxai.ScaleProtoSeg` that text can express.

    Args:
        recipe: The class, before it becomes a dataclass; its own fields stay first.
    """
    doc = [str(recipe.__doc__).rstrip()]
    for name, option in options_of(ScaleProtoSegOptions).items():
        if name not in LEFT_OUT:
            hint = _as_read(option.type)
            recipe.__annotations__[name] = (
                hint if option.range is None else Annotated[hint, option.range]
            )
            setattr(recipe, name, option.default)
            doc.append(f"        {name}: {option.doc}")
    recipe.__doc__ = "\n".join(doc) + "\n"
    return recipe


@dataclass(frozen=True, kw_only=True)
@with_model_options
class ModelRecipe:
    """Model to train, with the options of :class:`~protoxai.ScaleProtoSeg`.

    Attributes:
        architecture: ScaleProtoSeg, or LinearSegmenter for plain DeepLabv2.
        backbone: Name of the backbone: timm/NAME, torchvision/NAME, deeplabv2/RESNET or unet.
        scales: Module that makes the scales' embeddings: atrous, atrous-sum or pyramid.
        batchnorm_momentum: Momentum of the running statistics; null: the backbone's own.
    """

    architecture: Literal["ScaleProtoSeg", "LinearSegmenter"] = "ScaleProtoSeg"
    backbone: str
    scales: str = "atrous"
    batchnorm_momentum: Annotated[float | None, Range(above=0, most=1)] = None

    def __post_init__(self) -> None:
        """Check every key."""
        check_fields(self)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return an option of the model."""
