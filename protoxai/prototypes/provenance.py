"""Provenance: the training patch behind each prototype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from protoxai.runtime.checks import AT_LEAST_ONE, NOT_NEGATIVE, Range, flag, number, shown, whole

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Provenance:
    """Where a projected prototype comes from.

    Boxes are (top, left, bottom, right) in pixels of the original image (the one that the labels
    cover), ends exclusive.

    Attributes:
        projected: False if the prototype's class never occurred, so that it kept its vector; all
            else is then None.
        image_index: Number of the image in the data set.
        image_id: Name of the image in the data set.
        row: Row of the prototype's pixel on the feature grid.
        col: Column of it.
        grid: Height and width of the feature grid.
        distance: Squared distance that the prototype moved.
        patch: Box of the feature pixel.
        active_region: Box around the patch where the prototype was among the class's 5 % most
            active pixels.

    Raises:
        TypeError: If a value has another type.
        ValueError: If a number is out of its range, a box is empty, or a prototype that was not
            projected has a patch.
    """

    projected: bool
    image_index: int | None = None
    image_id: str | None = None
    row: int | None = None
    col: int | None = None
    grid: tuple[int, int] | None = None
    distance: float | None = None
    patch: Box | None = None
    active_region: Box | None = None

    def __post_init__(self) -> None:
        """Check the values, and keep them as Python's own."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if value is not None:
                object.__setattr__(self, name, _checked(name, value))
        given = [name for name, value in values.items() if value is not None]
        if not self.projected and given != ["projected"]:
            raise ValueError(f"projected is False, expected no {given[1]}")
        for name, size in zip(("row", "col"), self.grid or (), strict=False):
            place = getattr(self, name)
            if place is not None and place >= size:
                raise ValueError(f"{name} is {place}, expected at most {size - 1} on the grid")

    def to_config(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Any) -> Provenance:
        """Read what :meth:`to_config` gave.

        Raises:
            TypeError: If a value has another type.
            ValueError: If a key is missing or unknown, or a value is out of its range.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(config, dict) or set(config) != set(known):
            raise ValueError(f"it is {shown(config)}, expected the keys {', '.join(known)}")
        entry = cls(**config)
        lacking = [name for name in known if config[name] is None and name != "image_id"]
        if entry.projected and lacking:
            raise ValueError(f"projected is True, expected a value for {lacking[0]} too")
        return entry


def read_provenance(entries: Any, count: int) -> tuple[Provenance, ...] | None:
    """Read the provenance of all prototypes of a model.

    Args:
        entries: List of what :meth:`Provenance.to_config` gave, or None.
        count: Number of the model's prototypes.

    Raises:
        ValueError: If there is not one entry per prototype, or one is damaged.
    """
    if entries is None:
        return None
    if not isinstance(entries, list) or len(entries) != count:
        found = len(entries) if isinstance(entries, list) else shown(entries)
        raise ValueError(f"provenance: found {found} entries, expected one per prototype: {count}")
    read = []
    for index, entry in enumerate(entries):
        try:
            read.append(Provenance.from_config(entry))
        except (TypeError, ValueError) as error:
            raise ValueError(f"provenance of prototype {index}: {error}") from None
    return tuple(read)


def _checked(name: str, value: object) -> Any:
    if name == "projected":
        return flag(name, value)
    if name == "image_id":
        if not isinstance(value, str):
            raise TypeError(f"{name} is {shown(value)}, expected text")
        return str(value)
    if name == "distance":
        return number(name, value, NOT_NEGATIVE)
    if name == "grid":
        return _whole_numbers(name, value, 2, AT_LEAST_ONE)
    if name in ("patch", "active_region"):
        top, left, bottom, right = _whole_numbers(name, value, 4, NOT_NEGATIVE)
        if top >= bottom or left >= right:
            raise ValueError(f"{name} is {shown(value)}, expected top < bottom and left < right")
        return top, left, bottom, right
    return whole(name, value, NOT_NEGATIVE)


def _whole_numbers(name: str, value: object, count: int, expected: Range) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        raise TypeError(f"{name} is {shown(value)}, expected {count} whole numbers")
    return tuple(whole(name, item, expected) for item in value)
