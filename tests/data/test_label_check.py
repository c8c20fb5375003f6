"""Labels are counted before training; what cannot be learned from is refused, the rest named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from protoxai.data import FolderDataset
from protoxai.data.label_check import LabelReport, count_labels, report_labels
from protoxai.runtime.files import to_json

Write = Callable[[str, np.ndarray], Path]
VOID = 255


def folder(write_pair: Write, *maps: list[int], classes: int = 2, **options: int) -> FolderDataset:
    for number, values in enumerate(maps):
        root = write_pair(f"{number:03}", np.array([values]))
    return FolderDataset(root, num_classes=classes, **options)


def report(dataset: FolderDataset) -> LabelReport:
    return report_labels({"train": dataset})


def test_counts_are_those_of_the_labels(write_pair: Write) -> None:
    counts = count_labels(folder(write_pair, [0, 0, 1, VOID], [0, VOID, VOID, VOID], [VOID] * 4))
    assert (counts.samples, counts.read) == (3, 3)
    assert counts.pixels == (3, 1)
    assert counts.occurrences == (2, 1)
    assert (counts.ignored, counts.unlabelled) == (8, 1)
    assert counts.ignored_share == pytest.approx(8 / 12)


def test_limits_leave_samples_that_are_spread_over_the_data(write_pair: Write) -> None:
    dataset = folder(write_pair, *([number] for number in range(8)), classes=8)
    assert count_labels(dataset, limit=4).pixels == (1, 0, 1, 0, 1, 0, 1, 0)
    assert count_labels(dataset, seconds=0).read == 1


@pytest.mark.parametrize(
    ("maps", "problem"),
    [
        ([[VOID, VOID]], "train: no pixel is labelled in 1 of 1 samples"),
        ([[0, VOID], [0, 0]], "every labelled pixel in 2 of 2 samples is of the class 'class 0'"),
        ([[1, 1]], "every labelled pixel in 1 of 1 samples is of the class 'class 1'"),
    ],
)
def test_labels_that_teach_nothing_are_errors(
    write_pair: Write, maps: list[list[int]], problem: str
) -> None:
    (error,) = report(folder(write_pair, *maps)).errors
    assert problem in error


def test_a_split_without_samples_says_so(write_pair: Write) -> None:
    dataset = folder(write_pair, [0, 1])
    dataset.ids = []
    assert report(dataset).errors == ["train: there is no sample: check the root and the split"]


def test_a_single_class_is_an_error_only_where_a_model_trains_on_it(write_pair: Write) -> None:
    one = folder(write_pair, [1, 1])
    found = report_labels({"train": _Both(), "val": one})
    assert found.errors == []
    assert found.warnings[-1].startswith("val: no pixel of class 'class 0' in 1 of 1 samples")


def test_absent_classes_and_nearly_empty_labels_are_named(write_pair: Write) -> None:
    found = report(folder(write_pair, [0, 1, *[VOID] * 98], classes=4))
    assert found.errors == []
    assert len(found.warnings) == 2
    assert "no pixel of class 'class 2', 'class 3'" in found.warnings[0]
    assert "98.0% of the pixels" in found.warnings[1]
    assert "'class 0', 'class 1'" in found.warnings[1]
    assert (
        report(folder(write_pair, [0, 1, VOID], [VOID] * 3))
        .warnings[-1]
        .startswith("train: 1 of 2 samples have no labelled pixel")
    )


def test_the_table_names_every_class_and_the_ignored_share(write_pair: Write) -> None:
    text = str(report(folder(write_pair, [0, 0, 0, 1], [0, 0, 0, 0]))).splitlines()
    assert text[0].endswith("train (2 of 2 samples)")
    assert text[1].split() == ["class", "0", "87.50%", "in", "2"]
    assert text[2].split() == ["class", "1", "12.50%", "in", "1"]
    assert text[3].split() == ["ignored", "0.00%"]
    assert to_json(report(folder(write_pair, [0, 1])).to_plain())


class _Both:
    ignore_index = VOID
    num_classes = 2
    class_names = ("class 0", "class 1")

    def __len__(self) -> int:
        return 1

    def raw(self, index: int) -> _Both:
        del index
        return self

    @property
    def labels(self) -> torch.Tensor:
        return torch.tensor([[0, 1]])
