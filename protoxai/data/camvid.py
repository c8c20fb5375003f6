"""CamVid: road scenes from a driving car."""

from pathlib import Path
from typing import Literal

from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, official_split
from protoxai.data.label_images import check_stored
from protoxai.data.listing import pair_files
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register
from protoxai.runtime.checks import instance, shown
from protoxai.runtime.paths import expanded

CLASSES = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
SOURCE = "CamVid in the 11 classes of SegNet, in one of these two layouts"
SPLITS = {name: name for name in ("train", "val", "test")}
UNLABELLED, VOID = 11, 255


@register("camvid")
class CamVid(PairedDataset):
    """The 11-class CamVid set of 480x360 video frames; 11 in the label files is unlabelled.

    Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video: A high-definition ground
    truth database", Pattern Recognition Letters 2009; the 11 classes of SegNet, arXiv 1511.00561.

    The frames of one video are much alike, and those of ``"val"`` are seven seconds of a video that
    ``"train"`` shows too. With ``held_out``, a whole video is left out of the training instead,
    and validates it. The video of a frame is its file's name up to the first ``_``: ``0001TP``,
    ``0006R0`` or ``0016E5`` in ``"train"``. It is the frame's group.

    Args:
        root: Folder with ``train``, ``trainannot``, ``val``, ``valannot`` and the like, as the set
            is downloaded, or with ``train/images``, ``train/labels`` and the like.
        split: Split, ``"train"``, ``"val"`` or ``"test"``.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        held_out: Video of the training folder that ``"train"`` leaves out and that is ``"val"``;
            ``"test"`` stays as it is. None: the splits of the folders.
        cache: Whether to keep decoded files in memory (0.3 GB for ``"train"`` and ``"val"``).

    Raises:
        ValueError: If the split or the video is unknown, or the folder is not as described.

    Example:
        >>> CamVid("camvid", split="val")  # doctest: +SKIP
        CamVid(101 samples, 11 classes)
        >>> CamVid("camvid", split="train", held_out="0006R0")  # doctest: +SKIP
        CamVid(266 samples, 11 classes)
    """

    group_noun = "videos"

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "val", "test"] = "train",
        transform: Transform | None = None,
        *,
        held_out: str | None = None,
        cache: bool = True,
    ) -> None:
        self.root = expanded(root)
        folder = official_split("CamVid", split, SPLITS)
        if held_out is not None and folder == "val":
            folder = "train"
        pairs = _pairs(self.root, folder)
        if held_out is not None and folder == "train":
            pairs = _without_or_only(pairs, instance("held_out", held_out, str), split)
        self.pairs = pairs
        super().__init__(
            [image.stem for image, _ in pairs],
            tuple(CLASSES),
            tuple(CLASSES.values()),
            ignore_index=VOID,
            transform=transform,
            cache=cache,
            exif="ignore",
        )

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.pairs[index][0]

    def label_path(self, index: int) -> Path:
        """Return the path of a sample's label map."""
        return self.pairs[index][1]

    def group(self, index: int) -> str:
        """Return the video of a frame."""
        self.check_index(index)
        return _video(self.pairs[index][0])

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert unlabelled pixels to 255; classes stay as they are."""
        check_stored(stored, stored <= UNLABELLED, "0 to 10, and 11 for unlabelled pixels")
        return stored.long().masked_fill(stored == UNLABELLED, VOID)


def _pairs(root: Path, folder: str) -> list[tuple[Path, Path]]:
    """Return the image and label files of a folder, in either layout."""
    entries = (
        Entry("images", (f"{folder}/*.png", f"{folder}/images/*")),
        Entry("label maps", (f"{folder}annot/*.png", f"{folder}/labels/*.png")),
    )
    Layout(f"CamVid (split {folder!r})", SOURCE, entries).check(root)
    if (root / folder / "images").is_dir():
        return pair_files(root / folder / "images", root / folder / "labels")
    return pair_files(root / folder, root / f"{folder}annot")


def _video(image: Path) -> str:
    return image.stem.partition("_")[0]


def _without_or_only(
    pairs: list[tuple[Path, Path]], video: str, split: str
) -> list[tuple[Path, Path]]:
    """Return the pairs without a video to train on, or only its own to validate on."""
    videos = [_video(image) for image, _ in pairs]
    known = sorted(set(videos))
    if video not in known or len(known) == 1:
        raise ValueError(
            f"held_out is {shown(video)}, expected one of two or more videos in "
            f"{pairs[0][0].parent}, which has {', '.join(known)}: a frame's video is its file's "
            "name up to the first _"
        )
    validates = split == "val"
    return [pair for pair, own in zip(pairs, videos, strict=True) if (own == video) == validates]
