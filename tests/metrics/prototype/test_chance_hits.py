"""Hits by the maps of other images of the class."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.metrics import chance_hits, part_hits
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def test_chance_by_hand() -> None:
    # Three images of the same parts: centroids at 1 and 4 (class 1) and at 8 (class 2).
    maps = torch.cat([peaks(0, 4, 8), peaks(4, 4, 8), peaks(4, 4, 6)])
    labels, parts = LABELS.expand(3, -1, -1), PARTS.expand(3, -1, -1)
    hits = chance_hits(maps, labels, parts, TABLE, PART_CLASS, partners=4)
    assert hits.shape == (3, 4, 3, 4)
    # The maps of images 1 and 2 show part 2; of image 0, prototype 0 shows part 1.
    assert hits[0, :, 0, 1:3].tolist() == [[0, 1]] * 4
    assert hits[1:, :, 0, 1].sum(1).tolist() == [2, 2]
    assert hits[:, :, 1, 2].eq(1).all()
    # Prototype 2 misses its part in the map of image 2 alone, each other image counts twice.
    assert hits[:, :, 2, 3].sum(1).tolist() == [2, 2, 4]
    assert hits[:, :, 0, 3].isnan().all()


def test_other_classes_and_images_without_parts_are_no_partners() -> None:
    maps = torch.cat([peaks(0, 4, 8), peaks(4, 4, 8)])
    labels = torch.cat([LABELS, LABELS * 0 + 2])
    hits = chance_hits(maps, labels, PARTS.expand(2, -1, -1), TABLE, PART_CLASS)
    assert hits[:, :, :2].isnan().all()
    assert hits[:, :, 2, 3].eq(1).all()
    assert chance_hits(maps[:1], LABELS, PARTS, TABLE, PART_CLASS).isnan().all()


def test_partners_are_drawn_without_replacement() -> None:
    # Image i hits part i alone; with three partners each of the other three counts once.
    parts = torch.tensor([[[1, 2, 3, 4, 0]]]).expand(4, -1, -1)
    table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
    maps = torch.eye(4, 5)[:, None, None]
    hits = chance_hits(maps, parts * 0, parts, table, (0,) * 5, partners=3)
    expected = 1 - torch.eye(4)
    torch.testing.assert_close(hits[:, :, 0, 1:].sum(1), expected)
    torch.testing.assert_close(hits[:, :, 0, 1:].sum(2), torch.ones(4, 3))


def loop(maps: Tensor, labels: Tensor, parts: Tensor) -> Tensor:
    """Hits by all other images, with part_hits on the maps of the other."""
    images = len(labels)
    hits = torch.full((images, images - 1, 3, 4), NAN)
    for i in range(images):
        others = [j for j in range(images) if j != i]
        for column, j in enumerate(others):
            hits[i, column] = part_hits(
                maps[j : j + 1], labels[i : i + 1], parts[i : i + 1], TABLE, PART_CLASS
            )[0]
    return hits


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_all_partners_together_are_every_other_image(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(4, 3, 2, 3, generator=generator)
    labels = torch.randint(3, (4, 4, 6), generator=generator)
    labels[:, 0, :2] = torch.tensor([1, 2])
    parts = torch.randint(4, (4, 4, 6), generator=generator)
    parts[:, 0, :2] = torch.tensor([1, 3])
    # Coarse maps have equal activations, whose order depends on the image's seed alone.
    seeds = [0, 0, 0, 0]
    hits = chance_hits(maps, labels, parts, TABLE, PART_CLASS, partners=3, seeds=seeds)
    torch.testing.assert_close(hits.sum(1), loop(maps, labels, parts).sum(1), equal_nan=True)
