"""Images, label maps, lists and MATLAB files, read so that every failure names its file."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
LABEL_SUFFIXES = (".png",)


def read_image(path: Path, page: int = 0) -> Tensor:
    """An image file as RGB.

    Args:
        path: of any 8-bit format Pillow reads.
        page: which image of a file that holds several.

    Returns:
        (3, H, W), uint8.

    Raises:
        ValueError: if the file cannot be read or has more than 8 bits a channel.
    """
    image = _loaded(path, page)
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"{path}: image mode {image.mode} has more than 8 bits a channel: "
            "scale it to 8 bits first, so that the choice of range is yours"
        )
    array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def read_labels(path: Path, page: int = 0) -> Tensor:
    """A label map; a palette image is read as its indices, never its colours.

    Args:
        path: of a single-channel file, 1, 8, 16 or 32 bits.
        page: which image of a file that holds several.

    Returns:
        (H, W), uint8, or int32 where the file has 16 bits or more.

    Raises:
        ValueError: if the file cannot be read or has several channels.
    """
    image = _loaded(path, page)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise ValueError(
            f"{path}: label image of mode {image.mode}; one channel of class numbers is needed: "
            "save colours as class numbers (PNG mode L, P or I;16)"
        )
    array = np.array(image)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.int32))


def count_pages(path: Path) -> int:
    """How many images a file holds.

    Raises:
        ValueError: if the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise _unreadable(path, error) from error


def read_list(path: Path) -> list[str]:
    """The names in a list of samples, one a line.

    A line may also be the paths of the image and of its label map, as in some lists; the name is
    then the stem of the first.

    Raises:
        ValueError: if the file cannot be read or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a list of samples ({error}): extract it again"
        ) from error
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not names:
        raise ValueError(f"{path} is empty: a list has one sample a line; extract it again")
    return names


def read_mat(path: Path, key: str) -> Any:
    """A variable of a MATLAB file, its structures as dicts and its arrays of them as lists.

    Args:
        path: of a file of version 7 or older.
        key: the name of the variable.

    Raises:
        ValueError: if the file cannot be read or has no such variable.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, simplify_cells=True)
    except Exception as error:  # a damaged file raises whatever scipy stumbles over
        raise ValueError(
            f"{path} cannot be read as a MATLAB file ({error}): replace or remove the file"
        ) from error
    if key not in content:
        found = ", ".join(name for name in content if not name.startswith("__"))
        raise ValueError(f"{path} has no variable {key!r}, only {found}: is it the right file?")
    return content[key]


def pair_files(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Image and label files of the same stem, sorted by it.

    Args:
        images: a folder of jpg, png, bmp or tif files.
        labels: a folder of png files.

    Returns:
        (image, label) paths.

    Raises:
        ValueError: if a folder is missing or empty, a file has no partner, or a stem occurs twice.
    """
    image_files = _files(images, IMAGE_SUFFIXES)
    label_files = _files(labels, LABEL_SUFFIXES)
    for found, others, folder in (
        (image_files, label_files, labels),
        (label_files, image_files, images),
    ):
        alone = sorted(path.name for stem, path in found.items() if stem not in others)
        if alone:
            raise ValueError(
                f"{len(alone)} file(s) without a partner of the same stem in {folder}: "
                f"{', '.join(alone[:3])}{', …' if len(alone) > 3 else ''}. Add the missing files, "
                "or take these out"
            )
    return [(image_files[stem], label_files[stem]) for stem in sorted(image_files)]


def _loaded(path: Path, page: int = 0) -> Image.Image:
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.seek(page)
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        raise _unreadable(path, error) from error
    return image


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read as an image ({error}): replace or remove the file")


def _files(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} does not exist: check the root and the split")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise ValueError(
                f"two files of the same stem in {folder}: {found[path.stem].name} and {path.name}; "
                "keep one of them"
            )
        found[path.stem] = path
    if not found:
        raise ValueError(f"no {', '.join(suffixes)} file in {folder}: check the root and the split")
    return found
