"""The labels of data sets, counted and checked before a model is trained on them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from protoxai.labels import check_labels
from protoxai.runtime.checks import positive, shown

LIMIT, SECONDS = 500, 30.0
MOSTLY = 0.95
"""Share of ignored pixels from which a split gets a warning."""


class DataError(ValueError):
    """No model can be trained on the labels of a data set."""


class _HasLabels(Protocol):
    @property
    def labels(self) -> Tensor: ...


class Labelled(Protocol):
    """A data set, or any object with its classes and its labels."""

    ignore_index: int

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def raw(self, index: int) -> _HasLabels:
        """Return a sample with its labels (H, W)."""


@dataclass(frozen=True)
class LabelCounts:
    """Labels of a data set's samples, counted.

    Attributes:
        samples: Number of samples in the data set.
        read: Number of samples that were counted.
        pixels: Number of pixels of each class.
        occurrences: Number of samples in which each class occurs.
        ignored: Number of pixels that are ignored.
        unlabelled: Number of samples without any labelled pixel.
    """

    samples: int
    read: int
    pixels: tuple[int, ...]
    occurrences: tuple[int, ...]
    ignored: int
    unlabelled: int

    @property
    def labelled(self) -> int:
        """Number of pixels of all classes together."""
        return sum(self.pixels)

    @property
    def ignored_share(self) -> float:
        """Share of all pixels that are ignored, in [0, 1]."""
        return self.ignored / max(1, self.labelled + self.ignored)

    @property
    def scope(self) -> str:
        """The samples that were counted, in words."""
        return f"{self.read:,} of {self.samples:,} samples"


def count_labels(
    dataset: Labelled, limit: int | None = None, seconds: float | None = None
) -> LabelCounts:
    """Count the labels of samples that are spread evenly over a data set.

    Args:
        dataset: Data set, or any object with ``raw(index).labels``, ``num_classes`` and
            ``ignore_index``.
        limit: Largest number of samples to read; None for all.
        seconds: Time after which to stop reading; None for no limit.

    Raises:
        ValueError: If ``limit`` is below 1, or a label is neither a class nor the ignore index.
    """
    for attribute in ("__len__", "raw", "num_classes", "ignore_index"):
        if isinstance(dataset, type) or not hasattr(dataset, attribute):
            raise TypeError(
                f"dataset is {shown(dataset)} ({type(dataset).__name__}), expected a data set with "
                "`raw(index).labels`, `num_classes` and `ignore_index`: pass the "
                "SegmentationDataset itself, not a Subset or a loader"
            )
    total, classes = len(dataset), dataset.num_classes
    count = total if limit is None else min(positive("limit", limit), total)
    order = [step * total // count for step in range(count)]
    # Shuffled, so that samples are spread over the data even if time runs out.
    random.Random(0).shuffle(order)
    started = time.monotonic()
    pixels = torch.zeros(classes, dtype=torch.int64)
    occurrences = torch.zeros(classes, dtype=torch.int64)
    read = ignored = unlabelled = 0
    for index in order:
        if read and seconds is not None and time.monotonic() - started > seconds:
            break
        labels = dataset.raw(index).labels
        check_labels(labels, classes, dataset.ignore_index, source=f"sample {index}")
        counted = labels[labels != dataset.ignore_index].bincount(minlength=classes)
        pixels += counted
        occurrences += counted > 0
        ignored += labels.numel() - int(counted.sum())
        unlabelled += not bool(counted.any())
        read += 1
    return LabelCounts(
        total, read, tuple(pixels.tolist()), tuple(occurrences.tolist()), ignored, unlabelled
    )


@dataclass(frozen=True)
class LabelReport:
    """Counts of the labels in the splits of a data set, and what is wrong with them.

    Attributes:
        class_names: Name of each class.
        splits: Counts of each split by its name; the first is the one to train on.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, LabelCounts]

    @property
    def errors(self) -> list[str]:
        """What prevents a training: a split without labels, or a single class to train on."""
        found = []
        for number, (split, counts) in enumerate(self.splits.items()):
            if counts.samples == 0:
                found.append(f"{split}: there is no sample: check the root and the split")
            elif counts.labelled == 0:
                found.append(
                    f"{split}: no pixel is labelled in {counts.scope} (all have the ignore value): "
                    "check the label files, their void value and ignore_index"
                )
            elif number == 0 and len(self._present(counts)) < 2:
                found.append(
                    f"{split}: every labelled pixel in {counts.scope} is of the class "
                    f"{self._present(counts)[0]!r} ({counts.ignored_share:.1%} of the pixels are "
                    "ignored), expected two classes or more: masks of 0 and 255 need their 255 "
                    "converted to 1, or another void value (void: -1 in the options of folder)"
                )
        return found

    @property
    def warnings(self) -> list[str]:
        """What is unusual: classes that are absent, splits that are nearly all ignored."""
        found = []
        for split, counts in self.splits.items():
            if counts.labelled == 0:
                continue
            absent = [repr(name) for name in self.class_names if name not in self._present(counts)]
            if absent:
                found.append(
                    f"{split}: no pixel of class {', '.join(absent)} in {counts.scope}: check "
                    "the number and the order of the classes"
                )
            if counts.ignored_share > MOSTLY:
                present = ", ".join(map(repr, self._present(counts)))
                found.append(
                    f"{split}: {counts.ignored_share:.1%} of the pixels in {counts.scope} are "
                    f"ignored; what is left is of class {present}: check the void value"
                )
            elif counts.unlabelled:
                found.append(
                    f"{split}: {counts.unlabelled:,} of {counts.read:,} samples have no labelled "
                    "pixel"
                )
        return found

    def to_plain(self) -> dict[str, Any]:
        """Return the report as plain values."""
        splits = {name: asdict(counts) for name, counts in self.splits.items()}
        return {
            "class_names": list(self.class_names),
            "splits": splits,
            "errors": self.errors,
            "warnings": self.warnings,
        }

    def __str__(self) -> str:
        """Return a table: the share of each class's pixels, and the samples it occurs in."""
        width = max(map(len, [*self.class_names, "ignored"]))
        heads = [f"{split} ({counts.scope})" for split, counts in self.splits.items()]
        lines = ["   ".join([" " * width, *heads]).rstrip()]
        for number, name in enumerate(self.class_names):
            cells = [
                f"{counts.pixels[number] / max(1, counts.labelled):7.2%} in "
                f"{counts.occurrences[number]:,}"
                for counts in self.splits.values()
            ]
            lines.append(self._line(name, cells, heads, width))
        cells = [f"{counts.ignored_share:7.2%}" for counts in self.splits.values()]
        lines.append(self._line("ignored", cells, heads, width))
        return "\n".join(lines)

    def _line(self, name: str, cells: list[str], heads: list[str], width: int) -> str:
        padded = [cell.ljust(len(head)) for cell, head in zip(cells, heads, strict=True)]
        return "   ".join([name.ljust(width), *padded]).rstrip()

    def _present(self, counts: LabelCounts) -> list[str]:
        pairs = zip(self.class_names, counts.pixels, strict=True)
        return [name for name, pixels in pairs if pixels]


def report_labels(
    splits: Mapping[str, Any], *, limit: int = LIMIT, seconds: float = SECONDS
) -> LabelReport:
    """Count the labels of a data set's splits.

    Args:
        splits: Data set of each split by its name; the first is the one to train on.
        limit: Largest number of samples to read in a split.
        seconds: Time after which to stop reading, for all splits together.

    Raises:
        ValueError: If a sample cannot be read, or has a label that is no class.

    Example:
        >>> from protoxai.data import Shapes
        >>> report = report_labels({"train": Shapes(size=64, length=3)})
        >>> print(str(report).splitlines()[1])
        background    53.37% in 3
        >>> report.errors
        []
    """
    first = next(iter(splits.values()))
    counts = {
        name: count_labels(data, limit, seconds / len(splits)) for name, data in splits.items()
    }
    return LabelReport(tuple(first.class_names), counts)
