"""Your own images and label maps, in two folders."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.listing import pair_files, read_lines
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register
from protoxai.images import Exif
from protoxai.runtime.checks import instance, positive, shown, whole
from protoxai.runtime.palette import Colour
from protoxai.runtime.paths import expanded


@register("folder")
class FolderDataset(PairedDataset):
    """Images in ``<root>/images``, label maps in ``<root>/labels`` (or both in ``<root>/<split>``).

    A label map has the stem of its image and is a PNG of one channel, 8 or 16 bits, whose values
    are the class numbers; palette images are read as indices. Class names are taken from
    ``class_names``, or from ``<root>/classes.txt`` (UTF-8, one per line, in the order of the
    labels; blank lines are skipped, comments are an error), or from ``num_classes`` ("class 0", …).

    Args:
        root: Folder of the data set; ``~`` and variables are expanded.
        split: Subfolder with ``images`` and ``labels``, e.g. ``"train"``; None is the root itself.
        class_names: Name of each class.
        num_classes: Number of classes, which that of the names has to equal, if there are any.
        palette: Colour (red, green, blue) of each class, 0-255.
        void: Value, or values, of pixels that never count, in the label files.
        ignore_index: Label that ``void`` becomes.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        cache: Whether to keep decoded files in memory, in each process of a loader.
        exif: Orientation that a camera notes beside the pixels: ``"apply"`` or ``"ignore"`` it.
            None applies it if the label map, by its size, can only belong to the upright image.

    Raises:
        ValueError: If a folder is missing or empty, a file has no partner, the classes are unknown,
            or ``void`` or ``ignore_index`` is a class. On reading, if a file is broken, the sizes
            differ, the orientation is not clear, or the file holds ``ignore_index`` although that
            is not ``void``.

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
        void: int | Sequence[int] = 255,
        ignore_index: int = 255,
        transform: Transform | None = None,
        cache: bool = True,
        exif: Exif | None = None,
    ) -> None:
        self.root = expanded(root)
        folder = self.root / instance("split", split, str) if split else self.root
        self.pairs = pair_files(folder / "images", folder / "labels")
        names = _class_names(self.root, class_names, num_classes)
        super().__init__(
            [image.stem for image, _ in self.pairs],
            names,
            palette,
            ignore_index=ignore_index,
            transform=transform,
            cache=cache,
            exif=exif,
        )
        values = void if isinstance(void, Sequence) else [void]
        self.void = tuple(whole("void", value) for value in values)
        wrong = [value for value in self.void if 0 <= value < len(names)]
        if wrong:
            raise ValueError(
                f"void={wrong[0]} is one of the {len(names)} classes (0 to {len(names) - 1}): give "
                "the value that unlabelled pixels have in the files, e.g. 65535 in 16-bit files"
            )

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.pairs[index][0]

    def label_path(self, index: int) -> Path:
        """Return the path of a sample's label map."""
        return self.pairs[index][1]

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert the void values to the ignore index; classes stay as they are."""
        labels = stored.long()
        if self.ignore_index not in self.void and bool((labels == self.ignore_index).any()):
            voids = ", ".join(map(str, self.void))
            raise ValueError(
                f"the file holds the value {self.ignore_index}, which is ignore_index but not void "
                f"({voids}), so its pixels would not count: if they are void too, give "
                f"void=[{voids}, {self.ignore_index}], else another ignore_index, such as -1"
            )
        for value in self.void:
            labels = labels.masked_fill(stored == value, self.ignore_index)
        return labels


def _class_names(
    root: Path, class_names: Sequence[str] | None, num_classes: int | None
) -> Sequence[str]:
    listing = root / "classes.txt"
    if class_names is None and num_classes is None and not listing.exists():
        raise ValueError(
            f"the classes of {root} are unknown: give class_names or num_classes, or write "
            f"{listing} with one name per line"
        )
    if class_names is None and num_classes is not None and not listing.exists():
        return [f"class {index}" for index in range(positive("num_classes", num_classes))]
    source = "class_names"
    if class_names is None:
        class_names, source = _listed(listing), f"names in {listing}"
    if num_classes is not None and num_classes != len(class_names):
        raise ValueError(
            f"num_classes={num_classes}, but there are {len(class_names)} {source}: give one of "
            "the two, or make them agree"
        )
    return class_names


def _listed(path: Path) -> list[str]:
    names = read_lines(path)
    for name in names:
        if name.startswith("#"):
            raise ValueError(
                f"{path} has the line {shown(name)}, expected class names only: remove the comment,"
                " or give class_names if it is a name"
            )
    return names
