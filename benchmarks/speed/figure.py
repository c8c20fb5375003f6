"""Results of measurements: ratios with their bounds, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from benchmarks.speed.measure import Ratio, Times


@dataclass(frozen=True)
class Bound:
    """A limit of a ratio.

    Attributes:
        sense: Side of the limit that is allowed.
        limit: Limit, itself allowed.
    """

    sense: Literal["at least", "at most"]
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.sense == 'at least' else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Figure:
    """A measured ratio.

    Attributes:
        name: Name of what was measured.
        where: Shape or trunk it was measured on.
        of: Numerator and denominator, such as "plain / protoxai".
        ratio: Value and range of the ratio.
        bound: Bound of the ratio; None if it has none.
        quantities: Numbers behind the ratio, each with its unit, such as "protoxai, ms".
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
        """Return how many times longer the first call took than the second."""
        milliseconds = {f"{call}, ms": 1000 * times.median(call) for call in of}
        return cls(name, where, " / ".join(of), times.ratio(*of), bound, milliseconds)

    @property
    def met(self) -> bool | None:
        """Whether the bound is met; None if there is none."""
        return None if self.bound is None else self.bound.holds(self.ratio.value)

    def __str__(self) -> str:
        met = {True: ", met", False: ", MISSED", None: ""}[self.met]
        bound = f" ({self.bound}{met})" if self.bound else ""
        quantities = ", ".join(f"{name}: {x:.4g}" for name, x in self.quantities.items())
        ratio = f"{self.ratio.value:.3g} [{self.ratio.low:.3g}, {self.ratio.high:.3g}]"
        return f"{self.name}, {self.where}: {self.of} {ratio}{bound}; {quantities}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        bound = None if self.bound is None else str(self.bound)
        return {"kind": "figure", **asdict(self), "bound": bound, "met": self.met}


@dataclass(frozen=True)
class Curve:
    """Growth of a time.

    Attributes:
        name: Name of what was timed.
        along: Quantity that grows, such as "classes".
        at: Values of the quantity.
        milliseconds: Median time at each value.
        bare: Median time of the bare product at each value, timed side by side.
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
        """Return plain values."""
        return {"kind": "curve", **asdict(self)}
