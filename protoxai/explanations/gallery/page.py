"""The gallery as a self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from protoxai.explanations.figures.marks import group_words
from protoxai.explanations.figures.pictures import Cutout, as_bytes, prototype_cutout
from protoxai.explanations.gallery.figure import (
    neighbour_cutout,
    percent,
    purity_words,
    scale_colour,
)
from protoxai.explanations.templates import templates_of
from protoxai.prototypes.prototype import Prototype

if TYPE_CHECKING:
    from jinja2 import Environment

    from protoxai.explanations.gallery.galleries import Gallery

POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{}'"
LARGE, SMALL = 240, 112
"""Longest sides of pictures in pixels."""
QUALITY = 80


def gallery_page(gallery: Gallery) -> str:
    """Return a gallery as a page, which loads nothing and has no scripts.

    Args:
        gallery: The gallery.
    """
    base = files("protoxai.explanations.report") / "static" / "base.css"
    own = files("protoxai.explanations.gallery") / "templates" / "gallery.css"
    style = "\n".join(file.read_text(encoding="utf-8") for file in (base, own))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = _environment().get_template("gallery.html.j2")
    in_use = [index for each in gallery.classes for index in each.in_use]
    # Each picture is decoded once.
    prototypes = {index: gallery.prototypes[index] for index in in_use}
    return template.render(
        gallery=gallery, prototypes=prototypes, style=style, policy=POLICY.format(digest)
    )


def overview_table(gallery: Gallery) -> str:
    """Return a table with a row for each class, for notebooks.

    Args:
        gallery: The gallery.
    """
    return _environment().get_template("overview.html.j2").render(gallery=gallery)


def picture_of(cutout: Cutout, side: int) -> str:
    """Return a cutout with its frame as the data URI of a WebP picture.

    Args:
        cutout: The cutout.
        side: Longest side in pixels.
    """
    from PIL import Image, ImageDraw

    height, width = cutout.pixels.shape[:2]
    scale = side / max(height, width)
    picture = Image.fromarray(as_bytes(cutout.pixels)).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(picture)
    top, left, bottom, right = (round(end * scale) for end in cutout.box)
    right, bottom = max(right - 1, left), max(bottom - 1, top)
    line = 2 if side >= LARGE else 1
    draw.rectangle((left, top, right, bottom), outline="#1b1f24", width=line + 1)
    draw.rectangle((left, top, right, bottom), outline="white", width=line)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _bars(mass: tuple[float, ...]) -> list[tuple[float, float, str]]:
    """Return begin and length in percent and the colour of each scale's part of a bar."""
    shares = np.nan_to_num(np.asarray(mass)) * 100
    ends = shares.cumsum()
    return [
        (round(float(end - share), 3), round(float(share), 3), scale_colour(scale))
        for scale, (end, share) in enumerate(zip(ends, shares, strict=True))
        if share > 0
    ]


def _environment() -> Environment:
    environment = templates_of("protoxai.explanations.gallery")
    environment.globals |= {
        "bars": _bars,
        "percent": percent,
        "scale_colour": scale_colour,
        "group_words": group_words,
        "purity_words": purity_words,
        "large": lambda prototype: _picture(prototype, LARGE),
        "small": cache(lambda prototype: _picture(prototype, SMALL)),
        "nearest": lambda neighbour: picture_of(neighbour_cutout(neighbour), SMALL),
    }
    return environment


def _picture(prototype: Prototype, side: int) -> str | None:
    cutout = prototype_cutout(prototype)
    return None if cutout is None else picture_of(cutout, side)
