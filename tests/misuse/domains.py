"""Domains of arguments: a valid value of each, and values that are known to be outside of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NAN, INF = math.nan, math.inf
VOID = 255


@dataclass(frozen=True)
class Domain:
    """Values that an argument may have.

    Attributes:
        valid: Function that returns a valid value, fresh at each call.
        invalid: Functions that return values outside of the domain, by what is wrong with them.
    """

    valid: Callable[[], Any]
    invalid: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def but(self, *accepted: str) -> Domain:
        """Return the same domain with some of the invalid values accepted."""
        kept = {name: make for name, make in self.invalid.items() if name not in accepted}
        assert len(kept) == len(self.invalid) - len(accepted), accepted
        return Domain(self.valid, kept)

    def also(self, **invalid: Any) -> Domain:
        """Return the same domain with further invalid values."""
        return Domain(self.valid, {**self.invalid, **{k: constant(v) for k, v in invalid.items()}})


def constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def constants(**values: Any) -> dict[str, Callable[[], Any]]:
    return {name: constant(value) for name, value in values.items()}


NOT_TENSORS = constants(
    none=None, text="text", number=3, list=[[1.0]], mapping={"a": 1}, object=object(), flag=True
)
NOT_NUMBERS = constants(
    none=None,
    text="1",
    list=[0.5],
    array=np.array([0.5, 0.5]),
    tensor=torch.tensor([0.5, 0.5]),
    complex=1j,
    flag=True,
    nan=NAN,
    inf=INF,
    minus_inf=-INF,
    mapping={},
)
NOT_OBJECTS = constants(
    none=None,
    text="text",
    number=3,
    list=[1],
    array=np.zeros(2),
    tensor=torch.zeros(2),
    module=nn.Identity(),
    kind=int,
)


def tensors(
    make: Callable[[], Tensor],
    *,
    fixed: Sequence[int] = (),
    rank: bool = True,
    finite: bool = False,
    meta: bool = False,
    real: bool = False,
) -> Domain:
    """Floating-point tensors (or `real` ones: integers too).

    Args:
        make: Function that returns a valid tensor.
        fixed: Dimensions whose size matters.
        rank: Whether the number of dimensions matters.
        finite: Whether NaN and infinity are outside.
        meta: Whether tensors of the device "meta" are inside.
        real: Whether integers are inside.
    """

    def changed(**more: Callable[[Tensor], Any]) -> dict[str, Callable[[], Any]]:
        return {name: lambda change=change: change(make()) for name, change in more.items()}  # type: ignore[misc]

    dtype = make().dtype
    invalid = {
        **NOT_TENSORS,
        **changed(
            array=lambda t: t.numpy(),
            complex=lambda t: t.to(torch.complex64),
            sparse=lambda t: t.to_sparse(),
        ),
    }
    if not meta:
        invalid |= changed(meta=lambda t: t.to("meta"))
    if dtype.is_floating_point:
        invalid |= changed(boolean=lambda t: t > 0)
        if not real:
            invalid |= changed(integers=lambda t: t.long())
    else:
        invalid |= changed(floating=lambda t: t.float(), doubles=lambda t: t.double())
        invalid |= changed(
            **(
                {"integers": lambda t: t.long()}
                if dtype == torch.bool
                else {"boolean": lambda t: t > 0}
            )
        )
    if rank:
        invalid |= changed(
            more_dimensions=lambda t: t[None],
            fewer_dimensions=lambda t: t[0],
            no_dimensions=lambda t: t.flatten()[0],
        )
    for dim in fixed:
        invalid |= changed(
            **{
                f"longer_{dim}": lambda t, dim=dim: torch.cat([t, t.narrow(dim, 0, 1)], dim),
                f"shorter_{dim}": lambda t, dim=dim: t.narrow(dim, 0, t.shape[dim] - 1),
            }
        )
    shape = make().shape
    if len(fixed) >= 2 and shape[fixed[-1]] != shape[fixed[-2]]:
        invalid |= changed(swapped=lambda t: t.transpose(fixed[-1], fixed[-2]))
    if finite:
        invalid |= changed(nan=lambda t: _poisoned(t, NAN), infinite=lambda t: _poisoned(t, INF))
    return Domain(make, invalid)


def labels(make: Callable[[], Tensor], num_classes: int, *, fixed: Sequence[int] = ()) -> Domain:
    """Label maps: classes and the ignored value 255."""
    domain = tensors(make, fixed=fixed)

    def holding(value: int) -> Callable[[], Tensor]:
        return lambda: _poisoned(make(), value)

    values = {"no_class": holding(num_classes), "below": holding(-1), "almost_void": holding(254)}
    return Domain(domain.valid, {**domain.invalid, **values})


def numbers(
    valid: float,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Domain:
    """Finite numbers in a range."""
    outside = {}
    for name, bound, step in (("least", least, -0.5), ("most", most, 0.5)):
        if bound is not None:
            outside[f"past_{name}"] = constant(bound + step)
            outside[f"far_past_{name}"] = constant(bound + step * 1e12)
    for name, bound, step in (("above", above, -1), ("below", below, 1)):
        if bound is not None:
            outside[f"at_{name}"] = constant(bound)
            outside[f"far_past_{name}"] = constant(bound + step * 1e12)
    return Domain(constant(valid), {**NOT_NUMBERS, **outside})


def wholes(valid: int, *, least: int | None = 1, most: int | None = None) -> Domain:
    """Whole numbers in a range."""
    return numbers(valid, least=least, most=most).also(fraction=valid + 0.5)


def flags(valid: bool = False) -> Domain:
    """True or False."""
    return Domain(
        constant(valid), constants(none=None, text="yes", number=0.5, list=[], array=np.zeros(2))
    )


def words(valid: str) -> Domain:
    """One of a few words."""
    invalid = constants(
        none=None,
        unknown="unknown",
        empty="",
        number=3,
        list=[valid],
        array=np.zeros(2),
        bytes=valid.encode(),
    )
    return Domain(constant(valid), invalid)


def objects(make: Callable[[], Any], **more: Any) -> Domain:
    """Objects of the library's own classes."""
    return Domain(make, {**NOT_OBJECTS, **constants(**more)})


def functions(valid: Callable[..., Any]) -> Domain:
    """Functions."""
    return Domain(
        constant(valid), constants(none=None, text="text", number=3, list=[], tensor=torch.zeros(2))
    )


def pairs(valid: tuple[float, float], **more: Any) -> Domain:
    """A height and a width, or two bounds: at least 1."""
    invalid = constants(
        none=None,
        text="12",
        one=(8,),
        three=(8, 8, 8),
        zero=(0, 8),
        negative=(8, -8),
        nan=(8, NAN),
        infinite=(INF, 8),
        words=("8", "8"),
        complex=(8, 8j),
        nested=((8, 8), 8),
        mapping={8: 8},
    )
    return Domain(constant(valid), {**invalid, **constants(**more)})


def _poisoned(values: Tensor, value: float) -> Tensor:
    values = values.clone()
    values.view(-1)[0] = value
    return values
