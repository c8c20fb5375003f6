"""Your own images and label maps, in two folders."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.files import pair_files
from protoxai.data.paired import PairedDataset
from protoxai.data.palette import Colour
from protoxai.data.registry import register


@register("folder")
class FolderDataset(PairedDataset):
    """Images in ``<root>/images``, label maps in ``<root>/labels`` (or both in ``<root>/<split>``).

    A label map has the stem of its image and is a PNG of one channel, 8 or 16 bits, whose values
    are the class numbers; palette images are read as indices. Class names come from
    ``class_names``, or from ``num_classes`` ("class 0", …), or from ``<root>/classes.txt`` (one a
    line, in the order of the labels).

    Args:
        root: the folder.
        split: the subfolder that holds ``images`` and ``labels``, e.g. ``"train"``; None: the root
            itself.
        class_names: one name a class.
        num_classes: instead of names.
        palette: one (red, green, blue) a class, 0-255.
        void: the value in the label files of pixels that never count.
        ignore_index: what ``void`` becomes in the labels.
        transform: see ``SegmentationDataset``.
        cache: keep decoded files in memory (each process of a loader keeps its own).

    Raises:
        ValueError: if a folder is missing or empty, files do not pair, the classes are unknown, or
            ``void`` or ``ignore_index`` is a class; on reading, if a file is broken or the sizes
            differ.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "images").mkdir(); (root / "labels").mkdir()
        >>> Image.new("RGB", (40, 30)).save(root / "images" / "a.jpg")
        >>> Image.new("L", (40, 30), color=1).save(root / "labels" / "a.png")
        >>> dataset = FolderDataset(root, class_names=["field", "road"])
        >>> dataset[0]["labels"].shape, dataset[0]["labels"].unique().tolist()
        (torch.Size([30, 40]), [1])
    """

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        num_classes: int | None = None,
        palette: Sequence[Colour] | None = None,
        void: int = 255,
        ignore_index: int = 255,
        transform: Transform | None = None,
        cache: bool = True,
    ) -> None:
        self.root = Path(root)
        folder = self.root / split if split else self.root
        names = _class_names(self.root, class_names, num_classes)
        self.pairs = pair_files(folder / "images", folder / "labels")
        super().__init__(
            [image.stem for image, _ in self.pairs],
            names,
            palette,
            ignore_index=ignore_index,
            transform=transform,
            cache=cache,
        )
        if 0 <= void < len(names):
            raise ValueError(
                f"void={void} is one of the {len(names)} classes (0 to {len(names) - 1}): give the "
                "value that unlabelled pixels have in the files, e.g. 65535 in 16-bit files"
            )
        self.void = void

    def image_path(self, index: int) -> Path:
        """Where the image of a sample lies."""
        return self.pairs[index][0]

    def label_path(self, index: int) -> Path:
        """Where the label map of a sample lies."""
        return self.pairs[index][1]

    def _to_classes(self, stored: Tensor) -> Tensor:
        return stored.long().masked_fill(stored == self.void, self.ignore_index)


def _class_names(
    root: Path, class_names: Sequence[str] | None, num_classes: int | None
) -> Sequence[str]:
    listing = root / "classes.txt"
    if class_names is None and num_classes is None and not listing.is_file():
        raise ValueError(
            f"the classes of {root} are unknown: give class_names or num_classes, or write "
            f"{listing} with one name a line"
        )
    if class_names is None and num_classes is not None:
        return [f"class {index}" for index in range(num_classes)]
    if class_names is None:
        lines = listing.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    if num_classes is not None and num_classes != len(class_names):
        raise ValueError(
            f"num_classes={num_classes}, but {len(class_names)} class_names: give one of the two"
        )
    return class_names
