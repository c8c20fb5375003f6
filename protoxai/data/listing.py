"""Lists of samples: from a text file, or from the files in two folders."""

from collections.abc import Collection
from pathlib import Path

from protoxai.images import IMAGE_SUFFIXES

LABEL_SUFFIXES = (".png",)


def read_list(path: Path) -> list[str]:
    """Return the names in a list of samples, one per line.

    A line may also hold the paths of the image and of its label map, as in some lists; the name is
    then the stem of the first.

    Args:
        path: Path of the text file.

    Raises:
        ValueError: If the file cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a list of samples ({error}): extract it again"
        ) from error
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not names:
        raise ValueError(f"{path} is empty, expected one sample per line: extract it again")
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
