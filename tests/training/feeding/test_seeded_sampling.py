from collections import Counter
from itertools import chain, combinations

import pytest
import torch

from protoxai.data import RawSample, SegmentationDataset, training_transform
from protoxai.training.feeding.seeded_sampling import (
    SeededBatches,
    SeededSamples,
    mixed_seed,
)

LENGTH = 12
SIZE = 40
CROP = 16


class Coordinates(SegmentationDataset):
    """Images whose pixels hold their own place, so that a crop shows where it was taken."""

    def __init__(self, **options) -> None:
        super().__init__(["all"], **options)

    def __len__(self) -> int:
        return LENGTH

    def raw(self, index: int) -> RawSample:
        rows = torch.arange(SIZE, dtype=torch.uint8)[:, None].expand(SIZE, SIZE)
        image = torch.stack([rows, rows.T, torch.zeros_like(rows)])
        return RawSample(image, torch.zeros(SIZE, SIZE, dtype=torch.int64), id=str(index))


def samples(seed: int = 0, **options) -> SeededSamples:
    transform = training_transform(
        (CROP, CROP), mean=(0.0,) * 3, std=(1 / 255,) * 3, scale=(1, 1), **options
    )
    return SeededSamples(Coordinates(transform=transform), seed)


def crop(sample) -> tuple[int, int, bool]:
    """Top, left and flip of a sample."""
    rows, cols = sample["image"][:2].round().int()
    return int(rows.min()), int(cols.min()), bool(cols[0, 0] > cols[0, -1])


def test_every_sample_of_a_pass_is_augmented_on_its_own() -> None:
    drawn = samples()
    for epoch in range(2):
        crops = [crop(drawn[number]) for number in range(epoch * LENGTH, (epoch + 1) * LENGTH)]
        # By chance, hardly two of twelve crops at 25 x 25 places have the same place.
        assert len({(top, left) for top, left, _ in crops}) >= 10
        assert {flip for _, _, flip in crops} == {True, False}


def test_an_image_is_augmented_differently_in_every_pass() -> None:
    drawn = samples()
    by_image: dict[str, list[tuple[int, int, bool]]] = {}
    for number in range(3 * LENGTH):
        by_image.setdefault(drawn[number]["id"], []).append(crop(drawn[number]))
    assert {len(crops) for crops in by_image.values()} == {3}
    pairs = [pair for crops in by_image.values() for pair in combinations(crops, 2)]
    assert sum(a[:2] == b[:2] for a, b in pairs) <= 2


def test_jitter_has_its_own_seed_in_every_sample() -> None:
    drawn = samples(color_jitter=0.5)
    brightness = [float(drawn[number]["image"].max()) for number in range(LENGTH)]
    assert len({round(value, 3) for value in brightness}) >= 10


def test_a_sample_depends_on_the_seed_and_its_number_alone() -> None:
    first, other = samples(), samples()
    expected = [first[number] for number in range(2 * LENGTH)]
    torch.manual_seed(123)
    for number in (17, 3, 20, 3):
        again = other[number]
        assert again["id"] == expected[number]["id"]
        assert torch.equal(again["image"], expected[number]["image"])
    changed = samples(seed=1)
    assert [changed[k]["id"] for k in range(LENGTH)] != [e["id"] for e in expected[:LENGTH]]


def test_augmentation_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    samples()[4]
    assert torch.equal(torch.rand(3), expected)


def test_every_pass_has_every_image_once_in_another_order() -> None:
    drawn = samples()
    passes = [[drawn[k]["id"] for k in range(e * LENGTH, (e + 1) * LENGTH)] for e in range(3)]
    assert all(Counter(ids) == Counter(map(str, range(LENGTH))) for ids in passes)
    assert len({tuple(ids) for ids in passes}) == 3


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_batches_of_all_processes_are_those_of_one(monkeypatch, processes: int) -> None:
    module = "protoxai.training.feeding.seeded_sampling"
    shares = []
    for process in range(processes):
        monkeypatch.setattr(f"{module}.world_size", lambda: processes)
        monkeypatch.setattr(f"{module}.rank", lambda process=process: process)
        shares.append(list(SeededBatches(1, 4, 2)))
        assert len(SeededBatches(1, 4, 2)) == 3
        # Shared batches are those of a single process.
        assert list(SeededBatches(1, 3, 2, shared=True)) == [[2, 3], [4, 5]]
    together = [list(chain(*batches)) for batches in zip(*shares, strict=True)]
    width = 2 * processes
    assert together == [list(range(j * width, (j + 1) * width)) for j in (1, 2, 3)]


def test_seeds_differ_wherever_a_part_differs() -> None:
    seeds = {mixed_seed(a, b, c) for a in range(4) for b in range(4) for c in range(40)}
    assert len(seeds) == 4 * 4 * 40
