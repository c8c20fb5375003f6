"""What a measurement says: a ratio beside its bound, or a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from benchmarks.speed.measure import Ratio, Times


@dataclass(frozen=True)
class Bound:
    """What a ratio has to keep to.

    Attributes:
        sense: on which side of the limit the ratio has to be.
        limit: the limit itself is within.
    """

    sense: Literal["at least", "at most"]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """A measured ratio.

    Attributes:
        name: what was measured.
        where: on which shape.
        of: which ratio, such as "literal / protoxai".
        ratio: its value and range.
        bound: what it has to keep to, if anything.
        quantities: what the ratio is made of, each with its unit, such as "protoxai, ms".
    """

    name: str
    where: str
    of: str
    ratio: Ratio
    bound: Bound | None = None
    quantities: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_times(
        cls,
        name: str,
        where: str,
        times: Times,
        of: tuple[str, str],
        bound: Bound | None = None,
    ) -> Self:
        """Return the figure of how many times longer the first call took than the second."""
        milliseconds = {f"{call}, ms": 1000 * times.median(call) for call in of}
        return cls(name, where, " / ".join(of), times.ratio(*of), bound, milliseconds)

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept to; None where there is none."""
        return None if self.bound is None else self.bound.holds(self.ratio.value)

    def __str__(self) -> str:
        kept = {True: ", kept", False: ", MISSED", None: ""}[self.met]
        bound = f" ({self.bound}{kept})" if self.bound else ""
        made_of = ", ".join(f"{name}: {x:.4g}" for name, x in self.quantities.items())
        ratio = f"{self.ratio.value:.3g} [{self.ratio.low:.3g}, {self.ratio.high:.3g}]"
        return f"{self.name}, {self.where}: {self.of} {ratio}{bound}; {made_of}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        bound = None if self.bound is None else str(self.bound)
        return {"kind": "figure", **asdict(self), "bound": bound, "met": self.met}


@dataclass(frozen=True)
class Curve:
    """How the time of one thing grows.

    Attributes:
        name: what was timed.
        along: what grows, such as "classes".
        at: its values.
        milliseconds: the median time at each.
        bare: the median time of the bare product at each, timed side by side.
    """

    name: str
    along: str
    at: Sequence[int]
    milliseconds: Sequence[float]
    bare: Sequence[float]

    def __str__(self) -> str:
        points = zip(self.at, self.milliseconds, strict=True)
        shown = ", ".join(f"{x}: {y:.4g} ms" for x, y in points)
        return f"{self.name} along {self.along}: {shown}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"kind": "curve", **asdict(self)}
