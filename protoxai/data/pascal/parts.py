"""The classes of Pascal VOC and their parts in Pascal-Part.

Source: Chen et al., "Detect what you can: Detecting and representing objects using holistic models
and body parts", CVPR 2014.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from protoxai.data.matlab import read_mat

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip

_FACE = "head leye reye lear rear"
_LEGS = "lfuleg lflleg rfuleg rflleg lbuleg lblleg rbuleg rblleg"
_CAT = f"{_FACE} nose torso neck lfleg lfpa rfleg rfpa lbleg lbpa rbleg rbpa tail"
_COW = f"{_FACE} muzzle lhorn rhorn torso neck {_LEGS} tail"
_BUS = (
    "frontside leftside rightside backside roofside leftmirror rightmirror fliplate bliplate door "
    "wheel headlight window"
)
CODES = {
    "aeroplane": "body stern lwing rwing tail engine wheel",
    "bicycle": "fwheel bwheel saddle handlebar chainwheel headlight",
    "bird": "head leye reye beak torso neck lwing rwing lleg lfoot rleg rfoot tail",
    "bottle": "cap body",
    "bus": _BUS,
    "car": _BUS,
    "cat": _CAT,
    "cow": _COW,
    "dog": f"{_CAT} muzzle",
    "horse": f"{_FACE} muzzle torso neck {_LEGS} tail lfho rfho lbho rbho",
    "motorbike": "fwheel bwheel handlebar saddle headlight",
    "person": (
        f"{_FACE} lebrow rebrow nose mouth hair torso neck llarm luarm lhand rlarm ruarm rhand "
        "llleg luleg lfoot rlleg ruleg rfoot"
    ),
    "pottedplant": "pot plant",
    "sheep": _COW,
    "train": (
        "head hfrontside hleftside hrightside hbackside hroofside headlight coach cfrontside "
        "cleftside crightside cbackside croofside"
    ),
    "tvmonitor": "screen",
}
"""Part names in the files, by class, without the numbers of parts that may occur often."""

WORDS = {
    "lwing": "left wing", "rwing": "right wing", "leye": "left eye", "reye": "right eye",
    "lear": "left ear", "rear": "right ear", "lebrow": "left eyebrow", "rebrow": "right eyebrow",
    "lhorn": "left horn", "rhorn": "right horn", "lhand": "left hand", "rhand": "right hand",
    "lfoot": "left foot", "rfoot": "right foot", "lleg": "left leg", "rleg": "right leg",
    "llarm": "left lower arm", "luarm": "left upper arm", "rlarm": "right lower arm",
    "ruarm": "right upper arm", "llleg": "left lower leg", "luleg": "left upper leg",
    "rlleg": "right lower leg", "ruleg": "right upper leg", "lfleg": "left front leg",
    "rfleg": "right front leg", "lbleg": "left back leg", "rbleg": "right back leg",
    "lfuleg": "left front upper leg", "lflleg": "left front lower leg",
    "rfuleg": "right front upper leg", "rflleg": "right front lower leg",
    "lbuleg": "left back upper leg", "lblleg": "left back lower leg",
    "rbuleg": "right back upper leg", "rblleg": "right back lower leg",
    "lfpa": "left front paw", "rfpa": "right front paw", "lbpa": "left back paw",
    "rbpa": "right back paw", "lfho": "left front hoof", "rfho": "right front hoof",
    "lbho": "left back hoof", "rbho": "right back hoof", "fwheel": "front wheel",
    "bwheel": "back wheel", "frontside": "front side", "leftside": "left side",
    "rightside": "right side", "backside": "back side", "roofside": "roof side",
    "leftmirror": "left mirror", "rightmirror": "right mirror", "fliplate": "front license plate",
    "bliplate": "back license plate", "hfrontside": "head front side",
    "hleftside": "head left side", "hrightside": "head right side", "hbackside": "head back side",
    "hroofside": "head roof side", "cfrontside": "coach front side",
    "cleftside": "coach left side", "crightside": "coach right side",
    "cbackside": "coach back side", "croofside": "coach roof side",
}  # fmt: skip

_PARTS = [(name, code) for name in VOC_CLASSES for code in CODES.get(name, "").split()]
NUMBERS: Mapping[tuple[str, str], int] = {part: number for number, part in enumerate(_PARTS, 1)}
"""Part number of every (class, code)."""
PART_NAMES = ("none", *(f"{name} {WORDS.get(code, code)}" for name, code in _PARTS))
PART_CLASS = (0, *(VOC_CLASSES.index(name) for name, _ in _PARTS))


def read_pascal_parts(path: Path, size: tuple[int, int]) -> Tensor:
    """Return the part of every pixel; a later part covers an earlier one.

    Args:
        path: Path of a file from ``Annotations_Part``.
        size: Height and width (H, W) of the image.

    Returns:
        Parts (H, W), int64, numbers of ``PART_NAMES``.

    Raises:
        ValueError: If the file cannot be read, has another size or an unknown part.
    """
    parts = torch.zeros(size, dtype=torch.int64)
    for name, code, stored in _masks(path):
        mask = torch.from_numpy(np.atleast_2d(stored) > 0)
        if mask.shape != parts.shape:
            raise ValueError(
                f"{path} has masks of {tuple(mask.shape)} pixels, the image {size}: the parts and "
                "the images are not of the same data set"
            )
        parts[mask] = _number(path, name, code)
    return parts


def _masks(path: Path) -> list[tuple[str, str, Any]]:
    """Return the class, code and mask of every part."""
    annotation = read_mat(path, "anno")
    try:
        return [
            (str(thing["class"]), str(part["part_name"]), part["mask"])
            for thing in _each(annotation["objects"])
            for part in _each(thing["parts"])
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path} is no annotation of parts ({type(error).__name__}: {error}): replace the file "
            "by the original"
        ) from error


def _number(path: Path, name: str, code: str) -> int:
    part = (name, re.sub(r"_\d+$", "", code))
    if part not in NUMBERS:
        raise ValueError(
            f"{path}: Pascal-Part has no part {code!r} of a {name}; expected: "
            f"{CODES.get(name, 'none')}. Replace the file by the original"
        )
    return NUMBERS[part]


def _each(value: Any) -> Iterator[Any]:
    """Iterate over a list of structures.

    MATLAB has a single structure for a list of one, and an empty array for none.
    """
    return iter([value]) if isinstance(value, dict) else iter(value)
