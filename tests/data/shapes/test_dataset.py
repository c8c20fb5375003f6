import pytest
import torch

from protoxai.data import Shapes


@pytest.fixture(scope="module")
def samples():
    shapes = Shapes(size=128)
    return [shapes.raw(index) for index in range(80)]


def same(first, second):
    return all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("image", "labels", "parts")
    )


def test_a_sample_is_a_function_of_seed_split_and_index():
    first = Shapes(size=64, seed=5).raw(7)
    assert same(first, Shapes(size=64, seed=5, length=8).raw(7))
    for other in (
        Shapes(size=64, seed=6).raw(7),
        Shapes(size=64, seed=5, split="val").raw(7),
        Shapes(size=64, seed=5).raw(8),
    ):
        assert not torch.equal(first.image, other.image)


def test_global_seeds_do_not_matter():
    torch.manual_seed(1)
    first = Shapes(size=64).raw(3)
    torch.manual_seed(2)
    assert same(first, Shapes(size=64).raw(3))


def test_types_and_sizes():
    raw = Shapes(size=(64, 96)).raw(0)
    assert (raw.image.dtype, raw.labels.dtype, raw.parts.dtype) == (
        torch.uint8, torch.int64, torch.int64,
    )  # fmt: skip
    assert raw.image.shape == (3, 64, 96)
    assert raw.labels.shape == raw.parts.shape == (64, 96)


def test_every_part_lies_in_its_class(samples):
    part_class = torch.tensor(Shapes.part_class)
    for raw in samples:
        inside = raw.parts > 0
        assert torch.equal(part_class[raw.parts[inside]], raw.labels[inside])


def test_only_gaps_of_objects_have_no_part(samples):
    shapes = Shapes()
    hollow = {shapes.class_names.index(name) for name in ("wheel", "ladder", "key")}
    gaps = set()
    for raw in samples:
        gaps |= set(raw.labels[(raw.parts == 0) & (raw.labels > 0)].tolist())
    assert gaps == hollow


def test_part_names_tell_their_class():
    shapes = Shapes()
    assert len(shapes.part_names) == len(shapes.part_class)
    assert (shapes.part_names[0], shapes.part_class[0]) == ("none", 0)
    for name, label in list(zip(shapes.part_names, shapes.part_class, strict=True))[1:]:
        assert name.startswith(shapes.class_names[label] + " ")


def test_all_classes_and_parts_occur(samples):
    labels = torch.cat([raw.labels.flatten() for raw in samples])
    parts = torch.cat([raw.parts.flatten() for raw in samples])
    assert (labels.bincount(minlength=9) > 1000).all()
    assert (parts.bincount(minlength=len(Shapes.part_names)) > 50).all()


def test_sizes_differ_sixfold():
    lone = Shapes(size=128, objects=(1, 1), clutter=(0, 0))
    areas = [float((lone.raw(index).labels == 3).sum()) for index in range(150)]
    diameters = torch.tensor([area for area in areas if area]).mul(4 / torch.pi).sqrt()
    assert diameters.max() / diameters.min() > 5
    assert diameters.min() > 14


def test_colour_does_not_tell_the_class(samples):
    means = torch.zeros(9, 3)
    for label in range(9):
        pixels = torch.cat([raw.image[:, raw.labels == label] for raw in samples], dim=1)
        means[label] = pixels.double().mean(dim=1)
        assert pixels.double().std() > 40
    assert torch.cdist(means, means).max() < 100


def test_clutter_belongs_to_the_background():
    raw = Shapes(size=96, objects=(0, 0), clutter=(5, 5)).raw(0)
    assert not raw.labels.any()
    empty = Shapes(size=96, objects=(0, 0), clutter=(0, 0)).raw(0)
    assert (raw.image.double() - empty.image.double()).abs().amax(dim=0).gt(60).sum() > 100


def test_objects_stand_out_from_the_ground():
    """What the labels call an object can be seen: the mean colour inside differs from outside."""
    shapes = Shapes(size=96, objects=(1, 1), clutter=(0, 0))
    for index in range(20):
        raw = shapes.raw(index)
        pixels = raw.image.double() / 255
        ground = pixels[:, raw.parts == 0].mean(dim=1, keepdim=True)
        gap = (pixels[:, raw.parts > 0] - ground).norm(dim=0)
        assert gap.median() > 0.2


def test_length_only_ends_the_set():
    shapes = Shapes(size=32, length=2)
    assert len(list(shapes)) == 2
    with pytest.raises(IndexError, match="goes from 0 to 1"):
        shapes.raw(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 16}, "size is 16, expected a whole number from 32"),
        ({"length": 0}, "length is 0, expected"),
        ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
        ({"split": "test"}, "split is 'test', expected one of 'train', 'val'"),
        ({"objects": (3, 1)}, "fewest, most"),
        ({"clutter": (-1, 1)}, "clutter is -1, expected"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**options)
