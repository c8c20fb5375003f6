"""Pictures of Shapes without one part of one object."""

import pytest
import torch
from torch import Tensor

from protoxai.data import MappedDataset, RawSample, Shapes, evaluation_transform
from protoxai.data.shapes import scene as scene_module

PICTURES = 12


def changed(first: RawSample, second: RawSample) -> Tensor:
    return (first.image != second.image).any(0)


def covers(shapes: Shapes, index: int, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The pixels that each visible part touches, from the distances with which it is painted."""
    touched: list[Tensor] = []
    paint = scene_module._paint

    def noted(scene, window, distance, colour, rng):
        mask = torch.zeros(scene.labels.shape, dtype=torch.bool)
        mask[window] = torch.from_numpy(distance < 0.5)
        touched.append(mask)
        return paint(scene, window, distance, colour, rng)

    with monkeypatch.context() as patched:
        patched.setattr(scene_module, "_paint", noted)
        visible = shapes.visible_parts(index)
    # Single pieces are painted first.
    return touched[-len(visible) :]


@pytest.fixture(scope="module")
def redrawn() -> list[tuple[RawSample, tuple[int, int], RawSample]]:
    """Pictures with several objects, each without every visible part."""
    shapes = Shapes(size=128)
    return [
        (shapes.raw(index), removed, shapes.raw_without(index, removed))
        for index in range(PICTURES)
        for removed in shapes.visible_parts(index)
    ]


def test_only_pixels_of_the_part_change(redrawn, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = Shapes(size=128)
    masks = [m for index in range(PICTURES) for m in covers(shapes, index, monkeypatch)]
    # No part of these pictures is hidden, so that each mask is that of a part.
    assert len(masks) == len(redrawn)
    for (original, (_, part), without), touched in zip(redrawn, masks, strict=True):
        own = original.parts == part
        moved = changed(original, without)
        assert bool(moved.any())
        assert not bool((moved & ~touched).any())
        # The part's smooth edge changes a line of pixels beside it.
        assert int((moved & ~own).sum()) <= 12 * int(own.sum()) ** 0.5
        differs = without.parts != original.parts
        assert bool(differs.any())
        assert not bool((differs & ~(own & touched)).any())
        assert torch.equal(without.labels[~own], original.labels[~own])
        # The noise makes an accidental equality of colours rare.
        assert int((differs & ~moved).sum()) <= 0.02 * int(differs.sum()) + 1


def test_every_part_of_every_object_is_removed(redrawn) -> None:
    """Each visible pixel of a part goes with exactly one of the pictures."""
    by_name: dict[str, list] = {}
    for original, removed, without in redrawn:
        by_name.setdefault(original.id, []).append((original, removed, without))
    assert len(by_name) == PICTURES
    for triples in by_name.values():
        original = triples[0][0]
        times = torch.zeros_like(original.parts)
        for _, (_, part), without in triples:
            gone = without.parts != original.parts
            assert (original.parts[gone] == part).all()
            times += gone
        assert torch.equal(times, (original.parts > 0).long())
    numbers = {removed[0] for _, removed, _ in redrawn}
    assert numbers >= {0, 1, 2, 3}
    assert {removed[1] for _, removed, _ in redrawn} == set(range(1, len(Shapes.part_names)))


def test_the_parts_label_is_gone() -> None:
    shapes = Shapes(size=64, objects=(1, 1))
    for index in range(20):
        shown = [part for _, part in shapes.visible_parts(index)]
        assert shown == [part for part in shapes.raw(index).parts.unique().tolist() if part]
        for removed in shapes.visible_parts(index):
            left = shapes.raw_without(index, removed).parts.unique().tolist()
            assert removed.part not in left
            assert {*left, removed.part} >= set(shown)


def test_what_is_behind_shows() -> None:
    shapes = Shapes(size=96, objects=(1, 1), clutter=(0, 0))
    names = shapes.part_names
    index = next(i for i in range(99) if 3 in shapes.raw(i).labels)
    plate, bar = shapes.visible_parts(index)
    original = shapes.raw(index)
    at_bar = original.parts == names.index("sign bar")
    assert (shapes.raw_without(index, bar).parts[at_bar] == names.index("sign plate")).all()
    assert torch.equal(shapes.raw_without(index, bar).labels, original.labels)
    # Without the plate, only the ground is behind it: as in the picture without objects.
    unplated = shapes.raw_without(index, plate)
    at_plate = original.parts == names.index("sign plate")
    assert not unplated.labels[at_plate].any()
    assert not unplated.parts[at_plate].any()
    assert (unplated.labels[at_bar] == 3).all()


def test_gaps_still_belong_to_the_object() -> None:
    shapes = Shapes(size=96, objects=(1, 1), clutter=(0, 0))
    index = next(i for i in range(99) if 1 in shapes.raw(i).labels)
    spokes = shapes.visible_parts(index)[0]
    assert shapes.part_names[spokes.part] == "wheel spokes"
    assert torch.equal(shapes.raw_without(index, spokes).labels, shapes.raw(index).labels)


def test_a_redrawn_picture_is_always_the_same() -> None:
    first, other = Shapes(size=64, seed=5), Shapes(size=64, seed=5, length=8)
    removed = first.visible_parts(7)[1]
    one = first.raw_without(7, removed)
    torch.manual_seed(1)
    again = other.raw_without(7, tuple(removed))
    for name in ("image", "labels", "parts"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert one.id == again.id != first.raw(7).id


def test_the_parts_of_one_class_are_removed_one_after_the_other() -> None:
    shapes = Shapes(size=64)
    pairs = [p for p in shapes.visible_parts(2) if shapes.part_class[p.part] == 1]
    raws = list(shapes.raw_without_parts(2, 1))
    assert len(raws) == len(pairs) > 3
    for raw, removed in zip(raws, pairs, strict=True):
        assert torch.equal(raw.image, shapes.raw_without(2, removed).image)
    absent = set(range(1, 9)) - set(shapes.raw(2).labels.unique().tolist())
    assert not list(shapes.raw_without_parts(2, absent.pop()))


def test_redrawn_samples_have_the_view_of_the_original() -> None:
    shapes = Shapes(size=64)
    assert shapes.redraws
    transform = evaluation_transform((48, 40), mean=(0.4,) * 3, std=(0.2,) * 3)
    view = shapes.with_transform(transform)
    samples = list(view.without_parts(2, 1))
    raws = list(shapes.raw_without_parts(2, 1))
    original = view[2]
    assert len(samples) == len(raws)
    for sample, raw in zip(samples, raws, strict=True):
        assert sample["image"].shape == original["image"].shape == (3, 48, 40)
        assert type(sample["image"]) is Tensor
        assert torch.equal(sample["labels"], raw.labels)
        assert torch.equal(sample["parts"], raw.parts)
        assert (sample["index"], sample["id"]) == (2, raw.id)
        mapped = MappedDataset([(raw.image, raw.labels)], shapes.class_names)
        expected = mapped.with_transform(transform)[0]["image"]
        assert torch.equal(sample["image"], expected)
        # Far from the part, nothing changes.
        same = (sample["image"] == original["image"]).all(0)
        assert 0.3 < float(same.float().mean()) < 1


@pytest.mark.parametrize(
    ("removed", "error", "message"),
    [
        ((0, 0), ValueError, r"removed is \(0, 0\), but picture 7 has no such part"),
        ((9, 1), ValueError, r"expected one of visible_parts\(7\)"),
        ((-1, 1), ValueError, "removed"),
        ((0, 99), ValueError, "no such part"),
        (3, TypeError, "removed"),
        ("ab", TypeError, "removed"),
    ],
)
def test_a_part_that_is_not_there_cannot_be_removed(removed, error, message) -> None:
    with pytest.raises(error, match=message):
        Shapes(size=64).raw_without(7, removed)


def test_a_picture_that_is_not_there_cannot_be_redrawn() -> None:
    shapes = Shapes(size=64, length=3)
    for call in (shapes.visible_parts, lambda i: shapes.without_parts(i, 1)):
        with pytest.raises(IndexError, match="goes from 0 to 2"):
            call(3)
    with pytest.raises(ValueError, match="class_index is -1"):
        shapes.without_parts(0, -1)
