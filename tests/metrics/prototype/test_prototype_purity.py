import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from protoxai import PrototypeTable
from protoxai.data import Shapes
from protoxai.metrics import PrototypePurity, prototype_purity
from protoxai.metrics.prototype.chance_purity import chance_purity
from protoxai.projection.active_region import patch_box
from tests.metrics.prototype.part_toys import PART_CLASS, TABLE

ONE = PrototypeTable([0], [0], num_classes=1, num_scales=1)
Scene = tuple[Tensor, Tensor, Tensor]


def row_of(*values: float) -> Tensor:
    """Activations (1, 1, 1, n)."""
    return torch.tensor(values).float()[None, None, None]


def test_purity_by_hand() -> None:
    # Two cells of three pixels and two; the peaks show parts 1, 2, 2 by falling activation.
    maps = torch.cat([row_of(9, 0), row_of(0, 8), row_of(7, 0), row_of(0, 1)])
    first, second = [1, 1, 2, 2], [2, 2, 2, 2]
    parts = torch.tensor([first, first, second, first])[:, None]
    labels = torch.zeros_like(parts)
    found = prototype_purity(maps, labels, ONE, parts, (0, 0, 0), patches=3)
    assert found.purity.tolist() == pytest.approx([2 / 3])
    assert found.shown.tolist() == [2]
    # Both cells of the second row of parts show part 2: its frequency is (1/2 + 1/2 + 1 + 1/2) / 4.
    assert found.frequency.tolist() == pytest.approx([5 / 8])
    assert found.chance.tolist() == pytest.approx([chance_purity([3 / 8, 5 / 8], 3)])
    assert float(found) == pytest.approx(2 / 3 - 5 / 8 - chance_purity([3 / 8, 5 / 8], 3))


def test_patches_lie_within_the_class_and_show_its_parts() -> None:
    # The highest activation is on another class, and the most frequent part of another one.
    maps, labels = row_of(9, 1, 0), torch.tensor([[[1, 1, 0, 0, 0, 0]]])
    parts = torch.tensor([[[2, 2, 1, 0, 0, 0]]])
    table = PrototypeTable([0], [0], num_classes=2, num_scales=1)
    found = prototype_purity(maps, labels, table, parts, (0, 0, 1), patches=1)
    assert found.shown.tolist() == [1]
    # One of the two patches of the class shows nothing.
    assert found.frequency.tolist() == [0.5]
    assert found.chance.tolist() == [0.5 * (1 - 0.5)]
    nothing = prototype_purity(-maps, labels, table, parts, (0, 0, 1), patches=1)
    assert nothing.shown.tolist() == [-1]
    assert nothing.purity.tolist() == nothing.frequency.tolist() == [0]
    assert float(nothing) == -0.25


def test_without_parts_patches_lie_anywhere_and_show_classes() -> None:
    labels = torch.tensor([[[1, 1, 0, 0, 0, 255]]] * 2)
    maps = torch.cat([row_of(9, 1, 0), row_of(0, 1, 0.5)])
    table = PrototypeTable([0], [0], num_classes=2, num_scales=1)
    found = prototype_purity(maps, labels, table, patches=2)
    assert found.purity.tolist() == [0.5]
    assert found.shown.tolist() == [0]
    assert found.frequency.tolist() == [0.5]
    # Patches whose centre is not labelled do not count.
    void = prototype_purity(maps.flip(3), labels, table, patches=2)
    assert (void.purity.tolist(), void.shown.tolist()) == ([1], [0])


def test_prototypes_of_too_few_images_and_of_classes_without_parts_are_not_seen() -> None:
    maps = torch.ones(2, 3, 1, 2)
    labels, parts = torch.tensor([[[1, 1]], [[1, 2]]]), torch.tensor([[[1, 1]], [[2, 3]]])
    found = prototype_purity(maps, labels, TABLE, parts, PART_CLASS, patches=2)
    assert found.unseen.tolist() == [2]
    assert found.shown.tolist()[2] == -1
    assert found.purity.isnan().tolist() == [False, False, True]
    assert "1 prototypes are not seen: 2" in str(found)
    without = PrototypePurity(PrototypeTable([0, 1], [0, 0], 2, 1), (1, 1), patches=1)
    without.update(maps[:, :2], labels - 1, parts.clamp_max(1))
    assert without.per_prototype().unseen.tolist() == [0]
    # A map has no patch where it has no value; one without any has none in that image.
    with_nan = maps.clone()
    with_nan[0, 0], with_nan[0, 1, 0, 0] = torch.nan, torch.nan
    found = prototype_purity(with_nan, labels, TABLE, parts, PART_CLASS, patches=2)
    assert found.unseen.tolist() == [0, 2]


def test_without_images_there_is_no_value() -> None:
    found = PrototypePurity(TABLE, PART_CLASS).per_prototype()
    assert math.isnan(float(found))
    assert found.unseen.tolist() == [0, 1, 2]


def scenes(images: int, seed: int = 0) -> list[Scene]:
    """Images of several sizes, with activations that are often equal."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(images):
        size = (6 + index % 3, 8 + index % 2)
        maps = torch.randint(4, (3, 2 + index % 2, 3), generator=generator) / 2
        labels = torch.randint(3, size, generator=generator)
        parts = torch.randint(4, size, generator=generator)
        labels[torch.rand(size, generator=generator) < 0.1] = 255
        found.append((maps, labels, parts))
    return found


def shown_in(scene: Scene, cell: tuple[int, int], class_index: int | None) -> int:
    """What a patch shows, by counting pixels."""
    maps, labels, parts = scene
    top, left, bottom, right = patch_box(*cell, maps.shape[1:], labels.shape)
    seen: Counter[int] = Counter()
    for r in range(top, bottom):
        for c in range(left, right):
            label, part = int(labels[r, c]), int(parts[r, c])
            if class_index is None and label != 255:
                seen[label] += 1
            elif label == class_index and part and PART_CLASS[part] == class_index:
                seen[part] += 1
    most = max(seen.values(), default=0)
    return min((v for v in seen if seen[v] == most), default=-1)


def loop(found: list[Scene], prototype: int, patches: int, by_parts: bool) -> tuple[float, float]:
    """Purity and chance of a prototype, image by image and cell by cell."""
    class_index = TABLE.class_index.tolist()[prototype] if by_parts else None
    best, shares = [], []
    for image, scene in enumerate(found):
        maps, labels, _ = scene
        (h, w), (height, width) = maps.shape[1:], labels.shape
        order = torch.randperm(h * w, generator=torch.Generator().manual_seed(image)).tolist()
        cells = []
        for place in range(h * w):
            r, c = divmod(place, w)
            centre = int(labels[(2 * r + 1) * height // (2 * h), (2 * c + 1) * width // (2 * w)])
            if centre == class_index or (class_index is None and centre != 255):
                value = float(maps[prototype, r, c])
                cells.append((-value, order.index(place), shown_in(scene, (r, c), class_index)))
        if cells:
            value, _, content = min(cells)
            best.append((value, image, content))
            shares.append(Counter(content for _, _, content in cells))
    contents = [content for _, _, content in sorted(best)[:patches]]
    own = (
        range(3) if class_index is None else [p for p in (1, 2, 3) if PART_CLASS[p] == class_index]
    )
    purity = max(contents.count(content) for content in own) / patches
    frequencies = [sum(s[o] / s.total() for s in shares) / len(shares) for o in own]
    return purity, chance_purity(frequencies, patches)


@pytest.mark.parametrize("by_parts", [True, False])
def test_the_metric_agrees_with_a_loop_in_any_order(by_parts: bool) -> None:
    found = scenes(14)
    forward, backward = (
        PrototypePurity(TABLE, PART_CLASS if by_parts else None, patches=5) for _ in range(2)
    )
    updates = [
        (maps[None], labels[None], parts[None] if by_parts else None, [index])
        for index, (maps, labels, parts) in enumerate(found)
    ]
    for update in updates:
        forward.update(*update)
    for update in [*reversed(updates), updates[3]]:
        backward.update(*update)
    result, other = forward.per_prototype(), backward.per_prototype()
    assert all(torch.equal(a, b) for a, b in zip(result, other, strict=True))
    for prototype in range(3):
        purity, chance = loop(found, prototype, 5, by_parts)
        assert float(result.purity[prototype]) == pytest.approx(purity)
        assert float(result.chance[prototype]) == pytest.approx(chance)
    assert 0.2 < float(result.purity.mean()) < 1


def test_active_prototypes_alone_count() -> None:
    found = scenes(8)
    everyone, some = (
        PrototypePurity(TABLE, active=active, patches=4) for active in (None, torch.tensor([2, 0]))
    )
    for index, (maps, labels, _) in enumerate(found):
        for metric in (everyone, some):
            metric.update(maps[None], labels[None], index=index)
    assert torch.equal(some.per_prototype().purity, everyone.per_prototype().purity[[0, 2]])
    figures = some.compute()
    assert list(figures) == list(PrototypePurity.figures)
    assert figures["prototype_purity"] == pytest.approx(float(some.per_prototype()))
    difference = figures["pure_patches"] - figures["pure_by_chance"]
    assert figures["prototype_purity"] == pytest.approx(difference)


def test_forward_returns_the_purity_of_a_batch_and_adds_it() -> None:
    metric = PrototypePurity(ONE, (0, 0, 0), patches=1)
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    metric(row_of(5, 0), labels, torch.tensor([[[1, 1, 1, 2]]]))
    alone = metric(row_of(0, 4), labels, torch.tensor([[[0, 0, 0, 0]]]))
    assert alone["pure_patches"] == 0
    assert metric.compute()["pure_patches"] == 1
    assert metric.per_prototype().frequency.tolist() == [0.5]


def test_parts_and_their_classes_belong_together() -> None:
    maps, labels = row_of(5, 0), torch.zeros(1, 1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="parts without part_class"):
        prototype_purity(maps, labels, ONE, labels)
    with pytest.raises(ValueError, match="part_class without parts"):
        PrototypePurity(ONE, (0, 0)).update(maps, labels)


SHAPES = Shapes(size=64, length=60, split="val")
NUMBERS = torch.arange(1, len(SHAPES.part_class))
OF_PARTS = PrototypeTable(torch.tensor(SHAPES.part_class)[NUMBERS], [0] * len(NUMBERS), 9, 1)


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    """Labels and parts, (B, H, W) each."""
    samples = [SHAPES.raw(index) for index in range(len(SHAPES))]
    labels, parts = (torch.stack([getattr(s, n) for s in samples]) for n in ("labels", "parts"))
    return labels, parts


def noise(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(SHAPES), len(NUMBERS), 16, 16, generator=generator)


def test_detectors_of_parts_are_ranked(pictures: tuple[Tensor, Tensor]) -> None:
    labels, parts = pictures
    truth = avg_pool2d((parts[:, None] == NUMBERS[:, None, None]).float(), 4)
    detectors = {"perfect": truth, "real": truth + 0.2 * noise(0), "noise": noise(1)}
    by_parts = {
        name: float(prototype_purity(maps, labels, OF_PARTS, parts, SHAPES.part_class))
        for name, maps in detectors.items()
    }
    by_classes = {
        name: float(prototype_purity(maps, labels, OF_PARTS)) for name, maps in detectors.items()
    }
    for score in (by_parts, by_classes):
        assert score["perfect"] > score["real"] > score["noise"] + 0.1
    assert by_parts["perfect"] > 0.4
    assert by_classes["perfect"] > 0.8


def test_noise_has_no_purity(pictures: tuple[Tensor, Tensor]) -> None:
    labels, parts = pictures
    for given in ((parts, SHAPES.part_class), (None, None)):
        values = torch.stack(
            [
                found.purity - found.frequency - found.chance
                for seed in range(4)
                for found in [prototype_purity(noise(seed), labels, OF_PARTS, *given)]
            ]
        )
        error = float(values.std()) / values.numel() ** 0.5
        assert error < 0.025
        assert abs(float(values.mean())) < 2.5 * error


def test_a_constant_map_has_no_purity(pictures: tuple[Tensor, Tensor]) -> None:
    labels, parts = pictures
    maps = torch.ones(len(SHAPES), len(NUMBERS), 16, 16)
    values = torch.tensor(
        [
            float(
                prototype_purity(
                    maps,
                    labels,
                    OF_PARTS,
                    parts,
                    SHAPES.part_class,
                    seeds=range(1000 * seed, 1000 * seed + len(maps)),
                )
            )
            for seed in range(4)
        ]
    )
    assert abs(float(values.mean())) < 2.5 * float(values.std()) / len(values) ** 0.5 < 0.1


def measured(rank: int, shares: list[list[int]]) -> PrototypePurity:
    metric = PrototypePurity(TABLE, PART_CLASS, patches=4)
    found = scenes(10)
    for index in shares[rank]:
        maps, labels, parts = found[index]
        metric.update(maps[None], labels[None], parts[None], [index])
    return metric


def measure_a_share(rank: int, shares: list[list[int]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=len(shares)
    )
    try:
        metric = measured(rank, shares)
        result = metric.per_prototype()
        assert metric.compute()["prototype_purity"] == float(result)
        # Gathering leaves a process with its own share.
        assert sum(map(len, metric.rows)) == len(shares[rank])
    finally:
        torch.distributed.destroy_process_group()
    torch.save(tuple(result), folder / f"{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[[0, 4, 2, 5, 9], [3, 1, 4, 8, 7, 6]], [[*range(10)], []]])
def test_two_processes_measure_what_one_does(shares: list[list[int]], tmp_path: Path) -> None:
    alone = tuple(measured(0, [[*range(10)]]).per_prototype())
    torch.multiprocessing.spawn(measure_a_share, (shares, tmp_path), nprocs=2)
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
