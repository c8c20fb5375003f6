"""Data sets over any object with a length and samples by number."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data import MappedDataset, StreamedItems

GENERATOR = np.random.default_rng(2)
IMAGE = GENERATOR.integers(0, 256, (3, 4, 6), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 2, (4, 6))
LABELS[0, 0] = 255
NAMES = ["road", "field"]
AS_TENSORS = (torch.from_numpy(IMAGE), torch.from_numpy(LABELS))


class Store:
    """Samples that are made when they are asked for."""

    def __init__(self, *samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


@pytest.mark.parametrize(
    "sample",
    [
        AS_TENSORS,
        (IMAGE, LABELS.astype(np.int16)),
        (IMAGE, LABELS.astype(np.uint16)),
        [IMAGE.transpose(0, 1, 2)[:, ::1], LABELS.astype(np.uint8)],
        (
            Image.fromarray(IMAGE.transpose(1, 2, 0).copy()),
            Image.fromarray(LABELS.astype(np.uint8)),
        ),
        {"image": IMAGE, "labels": LABELS, "more": 1},
    ],
    ids=["tensors", "arrays", "16 bits", "list", "Pillow", "mapping"],
)
def test_samples_of_every_kind(sample: Any) -> None:
    dataset = MappedDataset(Store(sample, sample), NAMES)
    assert len(dataset) == 2
    raw = dataset.raw(1)
    assert torch.equal(raw.image, AS_TENSORS[0])
    assert torch.equal(raw.labels, AS_TENSORS[1])
    assert (raw.image.dtype, raw.labels.dtype, raw.id) == (torch.uint8, torch.int64, "1")
    torch.testing.assert_close(dataset[1]["image"], AS_TENSORS[0] / 255)


def test_names_of_samples() -> None:
    image, labels = AS_TENSORS
    dataset = MappedDataset([{"image": image, "labels": labels, "id": "north"}], NAMES)
    assert dataset[0]["id"] == "north"
    address = "s3://scans/" + "a" * 200
    long = MappedDataset([{"image": image, "labels": labels, "id": address}], NAMES)
    assert long.raw(0).id == address
    with pytest.raises(IndexError, match="there is no sample 1"):
        dataset[1]


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (3, TypeError, "items[1] is 3, expected a pair (image, labels), or a mapping with"),
        ("ab", TypeError, "items[1] is 'ab', expected a pair"),
        ((*AS_TENSORS, 1), TypeError, "items[1] is (tensor("),
        ({"image": IMAGE}, TypeError, "items[1] has ['image'] but no labels: expected a pair"),
        ((None, LABELS), TypeError, "image of sample 1: got None"),
        ((IMAGE, "labels"), TypeError, "labels of sample 1: got 'labels'"),
        ((IMAGE / 255, LABELS), TypeError, "image of sample 1: got torch.float64, expected uint8"),
        ((IMAGE[:1], LABELS), ValueError, "image of sample 1: got shape (1, 4, 6), expected"),
        ((IMAGE, LABELS.T), ValueError, "labels of sample 1: got shape (6, 4), expected (height=4"),
        ((IMAGE, LABELS / 2), TypeError, "labels of sample 1: got torch.float64, expected integ"),
        ((IMAGE, LABELS > 0), TypeError, "labels of sample 1: got torch.bool, expected integers"),
        ((Image.new("P", (6, 4)), LABELS), TypeError, "of mode P, expected RGB: convert it with"),
        ((IMAGE, LABELS + 1), ValueError, "labels of sample 1 hold 2, 256; expected classes 0"),
        (
            {"image": IMAGE, "labels": LABELS + 1, "id": "north"},
            ValueError,
            "labels of sample north hold 2",
        ),
    ],
)
def test_samples_that_do_not_fit(sample: Any, error: type[Exception], message: str) -> None:
    dataset = MappedDataset([AS_TENSORS, sample], NAMES)
    with pytest.raises(error, match=re.escape(message)):
        dataset[1]


def test_items_that_have_no_numbers() -> None:
    with pytest.raises(TypeError, match="expected an object with len"):
        MappedDataset(iter([AS_TENSORS]), NAMES)  # type: ignore[arg-type]


# --- litdata


class Streaming:
    """What StreamedItems needs of litdata's StreamingDataset."""

    opened = 0

    def __init__(self) -> None:
        self.region_of_interest = [(0, 3), (0, 1)]
        self.cache = False

    def __len__(self) -> int:
        return 2  # the share of one of two processes

    def __getitem__(self, index: int) -> Any:
        if not self.cache:
            Streaming.opened += 1
        self.cache = True
        return IMAGE + index, LABELS


def test_each_process_opens_a_stream_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Streaming()
    items = StreamedItems(stream)
    assert len(items) == 4
    dataset = MappedDataset(items, NAMES)
    assert torch.equal(dataset.raw(3).image, torch.from_numpy(IMAGE + 3))
    dataset.raw(0)
    assert (Streaming.opened, stream.cache) == (1, False)
    monkeypatch.setattr("os.getpid", lambda: -1)
    dataset.raw(0)
    assert Streaming.opened == 2
    with pytest.raises(TypeError, match=r"expected a litdata\.StreamingDataset"):
        StreamedItems([1])


class Redrawn(list):
    """Samples with a redrawn one for each number below the class."""

    def without_parts(self, index, class_index):
        image, labels = self[index]
        for number in range(class_index):
            yield {"image": image + number, "labels": labels, "id": f"{index} without {number}"}


def test_items_may_redraw_their_images() -> None:
    item = torch.zeros(3, 2, 4, dtype=torch.uint8), torch.ones(2, 4).long()
    dataset = MappedDataset(Redrawn([item]), ["road", "field"], transform=doubled)
    assert dataset.redraws
    samples = list(dataset.without_parts(0, 2))
    assert [sample["id"] for sample in samples] == ["0 without 0", "0 without 1"]
    assert [int(sample["image"].max()) for sample in samples] == [0, 2]
    with pytest.raises(IndexError):
        dataset.without_parts(1, 1)


def doubled(image, masks):
    return 2 * image, masks


def test_other_items_do_not() -> None:
    item = torch.zeros(3, 2, 4, dtype=torch.uint8), torch.ones(2, 4).long()
    dataset = MappedDataset([item], ["road", "field"])
    assert not dataset.redraws
    with pytest.raises(ValueError, match="does not redraw its images"):
        dataset.without_parts(0, 1)
