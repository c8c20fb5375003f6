import pickle
from collections import deque
from dataclasses import replace
from math import floor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.projection import active_region
from protoxai.projection.active_region import ActiveRegions, SourceImage, patch_box
from protoxai.projection.batches import EmbeddedBatch

SIDE = 20
HIGH = 1.0


def source(
    activation: Tensor, size: tuple[int, int], own_class: Tensor | None = None
) -> SourceImage:
    own_class = torch.ones(size, dtype=torch.bool) if own_class is None else own_class
    grid = (activation.shape[0], activation.shape[1])
    return SourceImage(0, "image", grid, size, activation, np.packbits(own_class.numpy()))


def low_map() -> Tensor:
    """No two values the same, all far below `HIGH`."""
    return torch.linspace(0, 0.5, SIDE * SIDE)[torch.randperm(SIDE * SIDE)].view(SIDE, SIDE)


# --- the patch


@settings(max_examples=100)
@given(st.data())
def test_patch_is_as_defined(data: st.DataObject) -> None:
    h, w = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    height, width = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 50)))
    row, col = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    top, left, bottom, right = patch_box(row, col, (h, w), (height, width))
    assert (top, left) == (floor(row * height / h), floor(col * width / w))
    assert bottom == min(floor((row + 1) * height / h) + 1, height)
    assert right == min(floor((col + 1) * width / w) + 1, width)
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width


def test_patches_cover_the_image() -> None:
    covered = torch.zeros(33, 50)
    for row in range(5):
        for col in range(7):
            top, left, bottom, right = patch_box(row, col, (5, 7), (33, 50))
            covered[top:bottom, left:right] = 1
    assert covered.all()


def test_last_patch_ends_with_the_image() -> None:
    assert patch_box(3, 1, grid=(4, 4), size=(32, 64)) == (24, 16, 32, 33)
    assert patch_box(3, 3, grid=(4, 4), size=(32, 64)) == (24, 48, 32, 64)


# --- the region, on maps as fine as the image, which upsampling does not change


def test_the_region_that_holds_the_patch_and_no_other() -> None:
    activation = low_map()
    activation[3:6, 4:8] = HIGH
    activation[12:15, 12:15] = HIGH  # with the first, the 21 pixels from the 95th percentile on
    regions = source(activation, (SIDE, SIDE))
    assert regions.active_region(4, 5) == (3, 4, 6, 8)
    assert regions.active_region(13, 12) == (12, 12, 15, 15)


def test_corners_connect() -> None:
    activation = low_map()
    activation[2:6, 2:5] = HIGH
    activation[6:9, 5:8] = HIGH
    assert source(activation, (SIDE, SIDE)).active_region(3, 3) == (2, 2, 9, 8)


def test_an_inactive_patch_stands_alone() -> None:
    activation = low_map()
    activation[2:5, 2:9] = HIGH
    assert source(activation, (SIDE, SIDE)).active_region(10, 10) == (10, 10, 12, 12)


def test_an_inactive_patch_is_united_with_the_region_it_touches() -> None:
    activation = low_map()
    activation[2:5, 2:9] = HIGH
    assert source(activation, (SIDE, SIDE)).active_region(5, 9) == (2, 2, 7, 11)


def test_the_percentile_is_of_the_class_but_the_region_may_leave_it() -> None:
    own_class = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    own_class[:, :10] = True
    activation = low_map()
    activation[4:7, 6:10] = HIGH  # 12 of the class's 200 pixels: the 95th percentile
    activation[4:8, 10:20] = 2 * HIGH  # of the whole image they would not be
    regions = source(activation, (SIDE, SIDE), own_class)
    assert regions.active_region(5, 7) == (4, 6, 8, 20)


def test_equal_activation_is_active_everywhere() -> None:
    regions = source(torch.ones(12, 15), (12, 15))
    assert regions.active_region(1, 1) == (0, 0, 12, 15)


# --- upsampled, against a loop


def flood(active: Tensor, row: int, col: int) -> tuple[int, int, int, int]:
    """Box of the pixels reached from one by steps of a chess king."""
    reached, edge = {(row, col)}, deque([(row, col)])
    while edge:
        i, j = edge.popleft()
        for near in ((i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1)):
            inside = 0 <= near[0] < active.shape[0] and 0 <= near[1] < active.shape[1]
            if inside and near not in reached and active[near]:
                reached.add(near)
                edge.append(near)
    rows, cols = zip(*reached, strict=True)
    return min(rows), min(cols), max(rows) + 1, max(cols) + 1


@settings(max_examples=40)
@given(st.data())
def test_region_of_any_map(data: st.DataObject) -> None:
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32 - 1)))
    h, w = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    height, width = h * data.draw(st.integers(1, 6)) + 1, w * data.draw(st.integers(1, 6))
    row, col = data.draw(st.integers(0, h - 1)), data.draw(st.integers(0, w - 1))
    activation = torch.rand(h, w, generator=generator) * 9
    own_class = torch.rand(height, width, generator=generator) < 0.3
    top, left, bottom, right = patch = patch_box(row, col, (h, w), (height, width))
    own_class[top, left] = True

    box = source(activation, (height, width), own_class).active_region(row, col)

    upsampled = F.interpolate(activation[None, None], (height, width), mode="bicubic")[0, 0]
    active = upsampled >= torch.quantile(upsampled[own_class].double(), 0.95)
    active[top:bottom, left:right] = True
    assert box == flood(active, top, left)
    assert box[0] <= patch[0]
    assert box[1] <= patch[1]
    assert box[2] >= patch[2]
    assert box[3] >= patch[3]
    assert box[2] <= height
    assert box[3] <= width


# --- what is recorded while searching


@pytest.fixture
def regions() -> ActiveRegions:
    table = PrototypeTable([0, 1], [1, 0], num_classes=2, num_scales=2)
    return ActiveRegions(table, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), lambda d: -d)


def batch_of(
    embedding: Tensor, labels: Tensor, indices: list[int], names: list[str]
) -> EmbeddedBatch:
    images = torch.zeros(len(embedding), 3, 6, 8)
    return EmbeddedBatch(embedding, labels, labels[:, ::2, ::2], indices, names, images)


def test_only_the_image_behind_the_nearest_patch_is_recorded(regions: ActiveRegions) -> None:
    embedding = torch.rand(2, 2, 2, 3, 4)
    labels = torch.randint(0, 2, (2, 6, 8))
    updated, places = torch.tensor([0]), torch.tensor([[9, 1, 2]])
    regions.record(updated, places, batch_of(embedding, labels, [5, 9], ["five", "nine"]))
    assert list(regions.sources) == [0]
    patch = regions.sources[0]
    assert (patch.image_index, patch.name) == (9, "nine")
    assert (patch.grid, patch.size) == ((3, 4), (6, 8))
    difference = embedding[1, 1] - torch.tensor([0.0, 1.0])[:, None, None]
    torch.testing.assert_close(patch.activation, -difference.square().sum(0))
    bits = np.unpackbits(patch.own_class, count=48).reshape(6, 8)
    assert torch.equal(torch.from_numpy(bits).bool(), labels[1] == 0)


def test_a_nearer_patch_replaces_the_last(regions: ActiveRegions) -> None:
    labels = torch.zeros(1, 6, 8, dtype=torch.long)
    for index in range(5):
        embedding = torch.rand(1, 2, 2, 3, 4)
        places = torch.tensor([[index, 0, 0]])
        batch = batch_of(embedding, labels, [index], [str(index)])
        regions.record(torch.tensor([0]), places, batch)
    assert len(regions.sources) == 1
    assert regions.sources[0].image_index == 4


# --- what processes exchange


def test_each_rank_measures_the_regions_in_its_own_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = PrototypeTable([0] * 4, [0] * 4, num_classes=1, num_scales=1)
    ranks = [ActiveRegions(table, torch.zeros(4, 1), lambda d: -d) for _ in range(2)]
    maps = torch.rand(4, 5, 6)
    maps[0, 1:4, 2:5] = HIGH
    for prototype, rank in enumerate((0, 1, 1)):
        ranks[rank].sources[prototype] = replace(source(maps[prototype], (20, 30)), image_index=7)
    # Nearer on the other rank; and of a class that never occurred.
    other = replace(source(maps[3], (20, 30)), image_index=2, name="other")
    ranks[0].sources[1] = ranks[1].sources[0] = other
    places = torch.tensor([[7, 1, 2], [7, 0, 0], [7, 4, 5], [-1, -1, -1]])
    sent: list[object] = []
    monkeypatch.setattr(active_region, "gather", lambda own: [sent.append(own), own][1:])
    for rank in ranks:
        rank.compute(torch.arange(4), places)
    monkeypatch.setattr(active_region, "gather", lambda own: sent)
    for rank in ranks:
        regions = rank.compute(torch.arange(4), places)
        assert sorted(regions) == [0, 1, 2]
        for prototype, region in regions.items():
            expected = source(maps[prototype], (20, 30))
            assert region.box == expected.active_region(*places[prototype, 1:].tolist())
            assert region[:3] == (expected.name, expected.grid, expected.size)


def test_boxes_are_exchanged_instead_of_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    count, images = 200, 20
    table = PrototypeTable([0] * count, [0] * count, num_classes=1, num_scales=1)
    regions = ActiveRegions(table, torch.zeros(count, 1), lambda d: -d)
    for prototype in range(count):
        made = source(torch.rand(64, 64), (64, 64))
        regions.sources[prototype] = replace(made, image_index=prototype % images)
    places = torch.tensor([[prototype % images, 3, 4] for prototype in range(count)])
    sent: list[int] = []

    def gather(own: object) -> list[object]:
        sent.append(len(pickle.dumps(own)))
        return [own]

    monkeypatch.setattr(active_region, "gather", gather)
    assert len(regions.compute(torch.arange(count), places)) == count
    # Six integers each; a map would be 16 kB.
    assert sum(sent) < 48 * count + 100 * images
