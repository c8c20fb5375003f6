"""Lists of samples: from a text file, or from the files in two folders."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from protoxai.images import IMAGE_SUFFIXES
from protoxai.runtime.files import read_text, regular_file
from protoxai.runtime.names import check_distinct

LABEL_SUFFIXES = (".png",)

_SUFFIX = rf"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})"
_FILE = re.compile(rf".*?{_SUFFIX}(?=\s|$)", re.IGNORECASE)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without the white space around them; blank ones are skipped.

    Args:
        path: Path of a file in UTF-8, with or without byte order mark.

    Raises:
        ValueError: If it is no text in UTF-8, or has no line but blank ones, or one line twice.
    """
    try:
        text = read_text(regular_file(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check the path") from error
    if "\0" in text:
        raise ValueError(f"{path} holds the character 0, as UTF-16 does: save it as UTF-8")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    names = [line for line in lines if line]
    if not names:
        raise ValueError(f"{path} is empty, expected one name per line: restore or fill it")
    check_distinct(path, names)
    return names


def read_list(path: Path) -> list[str]:
    """Return the names in a list of samples, one per line; blank lines are skipped.

    A name may contain dots and spaces, and there are no comments. A line may also hold a path, or
    the paths of the image and of its label map, as in some lists: if it ends with the suffix of an
    image file, the name is the stem of the first path.

    Args:
        path: Path of a text file in UTF-8, with or without byte order mark.

    Raises:
        ValueError: If the file cannot be read, is empty or has a name twice.
    """
    names = [_name(line) for line in read_lines(path)]
    check_distinct(path, names)
    return names


def pair_files(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return the image and label files of the same stem, sorted by it.

    Args:
        images: Folder of jpg, png, bmp or tif files.
        labels: Folder of png files.

    Returns:
        Pairs of an image path and a label path.

    Raises:
        ValueError: If a folder is missing or empty, a file has no partner, or a stem occurs twice.
    """
    image_files = _by_stem(images, IMAGE_SUFFIXES)
    label_files = _by_stem(labels, LABEL_SUFFIXES)
    for files, others, folder in (
        (image_files, label_files, labels),
        (label_files, image_files, images),
    ):
        alone = sorted(path.name for stem, path in files.items() if stem not in others)
        if alone:
            raise ValueError(
                f"{len(alone)} file(s) without a partner of the same stem in {folder}: "
                f"{', '.join(alone[:3])}{', …' if len(alone) > 3 else ''}. Add the missing files, "
                "or remove these"
            )
    return [(image_files[stem], label_files[stem]) for stem in sorted(image_files)]


def _name(line: str) -> str:
    file = _FILE.match(line) if line.lower().endswith(IMAGE_SUFFIXES) else None
    return PurePosixPath(file[0]).stem if file else line


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"the folder {folder} does not exist: check the root and the split")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(
                f"two files of the same stem in {folder}: {files[path.stem].name} and {path.name}; "
                "keep one of them"
            )
        files[path.stem] = path
    if not files:
        raise ValueError(f"no {', '.join(suffixes)} file in {folder}: check the root and the split")
    return files
