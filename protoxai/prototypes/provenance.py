"""Provenance: the training patch behind each prototype."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

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

    def to_config(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Provenance:
        """Read what :meth:`to_config` gave."""
        lists = {name: tuple(v) for name, v in config.items() if isinstance(v, list)}
        return cls(**{**config, **lists})
