"""The data of a page, as plain values for JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageClass:
    """A class.

    Attributes:
        name: Name of the class.
        colour: Colour in predictions, as ``#rrggbb``.
    """

    name: str
    colour: str


@dataclass(frozen=True)
class PageUnit:
    """A unit of the last layer: a group in stage 2, a prototype in stage 1.

    Attributes:
        class_index: Class of the unit.
        number: Number of the unit within its class, from 1.
        members: Positions of its prototypes in the page's list.
        weights: Weight of each of them.
    """

    class_index: int
    number: int
    members: list[int]
    weights: list[float]


@dataclass(frozen=True)
class PageOverlay:
    """A prototype's own activation over its picture.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        values: Base64 of uint8 (rows, columns); 255 is the highest possible activation.
    """

    rows: int
    columns: int
    values: str


@dataclass(frozen=True)
class PagePicture:
    """The picture of a prototype's surroundings in its training image.

    Attributes:
        source: Data URI of the picture.
        size: Height and width in pixels.
        box: Active region (top, left, bottom, right) in the picture; None if it is unknown.
        cell: Feature pixel in the picture; None if it is unknown.
        activation: Activation over the picture; None if it is unknown.
    """

    source: str
    size: tuple[int, int]
    box: tuple[int, int, int, int] | None
    cell: tuple[int, int, int, int] | None
    activation: PageOverlay | None


@dataclass(frozen=True)
class PagePrototype:
    """A prototype; those in use come first, in the order of the maps.

    Attributes:
        index: Index in the model.
        class_index: Class.
        scale: Scale, from 0.
        active: Whether the head uses it.
        image_id: Name of the training image; None if it is unknown.
        picture: Picture; None if none was kept.
    """

    index: int
    class_index: int
    scale: int
    active: bool
    image_id: str | None
    picture: PagePicture | None


@dataclass(frozen=True)
class PageMaps:
    """Activation maps at feature resolution, each quantised between its own extremes.

    Attributes:
        rows: Height h of the maps.
        columns: Width w of the maps.
        bits: 8, 16 or 32.
        low: Lowest value of each map.
        step: Difference between neighbouring steps of each map.
        values: Base64 of the steps, little-endian unsigned integers (prototypes in use, h, w).
    """

    rows: int
    columns: int
    bits: int
    low: list[float]
    step: list[float]
    values: str


@dataclass(frozen=True)
class PageImage:
    """An image with all that the inspector computes from.

    Attributes:
        name: Name of the image.
        size: Height H and width W of the prediction.
        picture: Data URI of the image.
        maps: Activations of the prototypes in use.
        prediction: Base64 of runs (value, length) of the predicted labels (H, W), uint16.
        labels: Runs of the labels, 65535 where they are ignored; None if there are none.
        familiarity: Runs of the familiarity times 255; None if it is unknown.
        share_right: Share of the labelled pixels that are predicted correctly; None if unknown.
    """

    name: str
    size: tuple[int, int]
    picture: str
    maps: PageMaps
    prediction: str
    labels: str | None
    familiarity: str | None
    share_right: float | None


@dataclass(frozen=True)
class PageData:
    """All data that the scripts of a page read.

    Attributes:
        stage: 1 or 2.
        scales: Number of scales.
        classes: The classes.
        units: Units of the last layer.
        last_layer: Base64 of float32 (classes, units).
        base: Score of each class where no prototype is active.
        prototypes: The prototypes; those in use first.
        images: The images of the inspector.
        logit_error: Largest difference between a score of the page and the model's.
        decimals: Number of decimals that scores are shown with.
        left_out: Number of prototypes that the head does not use and the page does not list.
        pictures: Whether the page has pictures of prototypes.
    """

    stage: int
    scales: int
    classes: list[PageClass]
    units: list[PageUnit]
    last_layer: str
    base: list[float]
    prototypes: list[PagePrototype]
    images: list[PageImage]
    logit_error: float
    decimals: int
    left_out: int
    pictures: bool
