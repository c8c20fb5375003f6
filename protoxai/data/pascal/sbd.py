"""SBD: Pascal images with labels in MATLAB files, the larger training set of VOC 2012."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, locate, official_split, require_files
from protoxai.data.listing import read_list
from protoxai.data.matlab import read_mat
from protoxai.data.paired import PairedDataset
from protoxai.data.palette import bit_palette
from protoxai.data.pascal.parts import VOC_CLASSES
from protoxai.data.registry import register

SPLITS = {name: name for name in ("train", "val", "train_noval")}


@register("sbd")
class SBD(PairedDataset):
    """The Semantic Boundaries Dataset: the 21 classes of Pascal VOC, without void borders.

    Source: Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011. Its ``train``
    and ``val`` differ from those of VOC 2012: to evaluate on the latter's ``val``, train on
    ``"train_noval"``, which leaves its images out (the list is a separate file).

    Args:
        root: Folder with ``img``, ``cls`` and the lists; or ``benchmark_RELEASE``, or the folder
            that contains it.
        split: Split, ``"train"``, ``"val"`` or ``"train_noval"``.
        transform: Transform of each sample, see :class:`SegmentationDataset`.

    Raises:
        ValueError: If the split is unknown, or files are missing; the message shows the expected
            tree.

    Example:
        >>> SBD("benchmark_RELEASE", split="train")  # doctest: +SKIP
        SBD(8498 samples, 21 classes)
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: Transform | None = None
    ) -> None:
        self.split = official_split("SBD", split, SPLITS)
        self.root = locate(root, "dataset", "benchmark_RELEASE/dataset", marker="cls")
        name = f"SBD (split {split!r})"
        entries = (
            Entry("images", ("img/*.jpg",)),
            Entry("labels", ("cls/*.mat",)),
            Entry("the split's list", (f"{split}.txt",)),
        )
        source = (
            "benchmark.tgz from the Semantic Boundaries Dataset's page at Berkeley (train_noval.txt"
            " is a separate file)"
        )
        Layout(name, source, entries).check(self.root)
        ids = read_list(self.root / f"{split}.txt")
        require_files(name, self.root / "img", (f"{item}.jpg" for item in ids))
        require_files(name, self.root / "cls", (f"{item}.mat" for item in ids))
        palette = bit_palette(len(VOC_CLASSES))
        super().__init__(ids, VOC_CLASSES, palette, transform=transform, exif="ignore")

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.root / "img" / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path:
        """Return the path of a sample's label map."""
        return self.root / "cls" / f"{self.ids[index]}.mat"

    def read_label_map(self, path: Path) -> Tensor:
        """Read the classes (H, W) from a MATLAB file."""
        truth = read_mat(path, "GTcls")
        found = truth.get("Segmentation") if isinstance(truth, dict) else None
        stored = np.atleast_2d(np.asarray(found))
        if stored.dtype.kind not in "ui" or stored.ndim != 2:
            raise ValueError(
                f"{path} has no GTcls.Segmentation of whole numbers (H, W): get the original file"
            )
        return torch.from_numpy(stored.astype(np.int32))
