"""Options of the models: name, type, default and documentation of each, written once."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar, cast, get_args, get_type_hints

from protoxai.heads.linear import LastLayer
from protoxai.model.option_values import plain_value
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import Range, did_you_mean

# A loaded model gets its weights from the folder, and its table from the folder's `structure`.
NOT_SAVED = ("pretrained", "table")
DOC_WIDTH = 100


@dataclass(frozen=True)
class Option:
    """Default and documentation of a model's option, written beside its type.

    Attributes:
        default: Value of the option where the caller gives none.
        doc: Description for the ``Args`` section of the model.
        range: Range of its numbers; None if it has none.
        type: Type of the option; :func:`options_of` fills it in.
    """

    default: Any
    doc: str
    range: Range | None = None
    type: Any = None


class PrototypeOptions(TypedDict, total=False):
    """Options of the prototypes."""

    prototypes_per_scale: Annotated[
        int, Option(3, "Number of prototypes per class and scale.", Range(least=1, most=10_000))
    ]
    prototype_dim: Annotated[
        int, Option(64, "Length D of each prototype.", Range(least=1, most=65_536))
    ]
    table: Annotated[
        PrototypeTable | None,
        Option(None, "Class and scale of each prototype, instead of ``prototypes_per_scale``."),
    ]
    epsilon: Annotated[
        float,
        Option(
            1e-4,
            "Bound of the activation; see :class:`~protoxai.MultiScalePrototypeLayer`.",
            Range(above=0, below=1),
        ),
    ]
    bounded_prototypes: Annotated[
        bool, Option(False, "Whether training keeps the prototypes in [0, 1].")
    ]
    off_class: Annotated[
        float,
        Option(
            -0.5,
            "Initial last-layer weight of a prototype or group for other classes.",
            Range(least=-1000, most=1000),
        ),
    ]
    last_layer: Annotated[
        LastLayer,
        Option(
            "dense",
            '"dense" (as in the paper) or, for many classes, "tied": two last-layer weights per '
            "prototype or group, one for its own class and one for all others.",
        ),
    ]


class TrunkOptions(TypedDict, total=False):
    """Options of the trunk, the same for every model."""

    input_scales: Annotated[
        Sequence[float],
        Option(
            (),
            "Factors, such as (0.5, 0.75), of scaled copies of the image to process as well.",
            Range(above=0, most=8),
        ),
    ]
    output_stride: Annotated[
        int,
        Option(
            8,
            "Image pixels per feature pixel, if the backbone's architecture allows it.",
            Range(least=8, most=32),
        ),
    ]
    feature_levels: Annotated[
        Sequence[int | str] | None,
        Option(
            None,
            "Feature levels of the backbone to use, or their keys if it returns a dict; None: the "
            'deepest, or for "pyramid" all from ``output_stride`` on.',
            Range(least=-1000, most=1000),
        ),
    ]
    atrous_rates: Annotated[
        Sequence[int],
        Option((6, 12, 18, 24), "Dilation of each atrous branch.", Range(least=1, most=1000)),
    ]
    init_gain: Annotated[
        float | None,
        Option(
            None,
            "Gain of the scales' initial weights; see :class:`~protoxai.AtrousScales` and "
            ":class:`~protoxai.PyramidScales`.",
            Range(above=0, most=1000),
        ),
    ]
    freeze_batchnorm: Annotated[
        bool,
        Option(
            False,
            "Whether the backbone's batch normalisation stays in evaluation mode, untrained.",
        ),
    ]
    pretrained: Annotated[
        bool | str | Path,
        Option(True, "True for weights from the hub, False for random ones, or a local file."),
    ]
    feature_channels: Annotated[
        int | Sequence[int] | None,
        Option(
            None,
            "Channels of the maps of a module of your own; None: found by a dry run.",
            Range(least=1, most=1_000_000),
        ),
    ]
    class_names: Annotated[
        Sequence[str] | None, Option(None, "Names of the classes, for figures and reports.")
    ]


class ScaleProtoSegOptions(PrototypeOptions, TrunkOptions, total=False):
    """Options of :class:`~protoxai.ScaleProtoSeg`."""


Options = TypeVar("Options", bound=TrunkOptions)
Model = TypeVar("Model", bound=type)


def options_of(kind: type) -> Mapping[str, Option]:
    """Return the options that a typed dictionary declares.

    Args:
        kind: One of the typed dictionaries of this module.

    Example:
        >>> option = options_of(ScaleProtoSegOptions)["output_stride"]
        >>> option.type, option.default
        (<class 'int'>, 8)
    """
    options = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        annotation, option = get_args(hint)
        options[name] = replace(option, type=annotation)
    return options


def complete(kind: type[Options], given: Options) -> Options:
    """Return the given options as plain values, together with the defaults of all others.

    Args:
        kind: The typed dictionary that declares the options.
        given: The options that the caller gave.

    Raises:
        TypeError: If an option is unknown, or its value has another type.
        ValueError: If a value is out of its option's range.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            raise TypeError(
                f"there is no option {name!r}{did_you_mean(name, known)}; expected some of "
                f"{', '.join(known)}"
            )
    values = {name: given.get(name, option.default) for name, option in known.items()}
    return cast(
        Options,
        {
            # Where weights may come from is checked where they are read.
            name: value
            if name == "pretrained"
            else plain_value(name, value, known[name].type, known[name].range)
            for name, value in values.items()
        },
    )


def differing_arguments(model: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a model's constructor that differ from their defaults.

    Args:
        model: Class of the model.
        arguments: All arguments by name.
    """
    parameters = inspect.signature(model).parameters
    return {
        name: value
        for name, value in arguments.items()
        if name not in parameters or value != parameters[name].default
    }


def explicit_options(kind: type) -> Callable[[Model], Model]:
    """Show, in a model's signature and documentation, each option that ``**options`` stands for.

    Args:
        kind: The typed dictionary that types the constructor's ``**options``.

    Returns:
        A decorator of the class.
    """

    def decorate(model: Model) -> Model:
        options = options_of(kind)
        # Through `Any`: a class's `__init__` and its signature are not assignable for mypy.
        init: Any = vars(model)["__init__"]
        hints = get_type_hints(init)
        signature = inspect.signature(init)
        parameters = [
            parameter.replace(annotation=hints.get(name, parameter.annotation))
            for name, parameter in signature.parameters.items()
            if name != "options"
        ]
        parameters += [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=option.type,
            )
            for name, option in options.items()
        ]
        init.__signature__ = signature.replace(parameters=parameters, return_annotation=None)
        model.__doc__ = _with_options(model.__doc__ or "", options)
        return model

    return decorate


def _with_options(doc: str, options: Mapping[str, Option]) -> str:
    """Return a docstring with an entry for each option instead of that for ``**options``."""

    def entries(match: re.Match[str]) -> str:
        indent = match[1]
        return "\n".join(
            textwrap.fill(
                f"{name}: {option.doc}",
                DOC_WIDTH,
                initial_indent=indent,
                subsequent_indent=f"{indent}    ",
                break_on_hyphens=False,
            )
            for name, option in options.items()
        )

    return re.sub(r"^( *)\*\*options:.*(?:\n\1 +\S.*)*", entries, doc, flags=re.MULTILINE)
