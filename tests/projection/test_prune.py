import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeTable, ScaleProtoSeg, project_prototypes, prune_prototypes
from protoxai.projection import PruningRecord
from protoxai.prototypes.projection import Projection
from protoxai.prototypes.provenance import Provenance
from tests.cases import VOID
from tests.toys import colour_model, images_of, loaded_colours, set_prototypes

RED, GREEN, BLUE = range(3)


def projected_model(table: PrototypeTable, colours: Sequence[float], **options: Any) -> Any:
    """A model whose prototypes are these colours, as if they had been projected."""
    model = colour_model(table, **options)
    set_prototypes(model, colours)
    places: Any = {"row": 0, "col": 0, "grid": (1, 2), "distance": 0.0}
    boxes: Any = {"patch": (0, 0, 1, 1), "active_region": (0, 0, 1, 1)}
    model.projection = Projection.of(
        model.prototype_layer.prototypes,
        tuple(
            Provenance(projected=True, image_index=i, image_id=str(i), **places, **boxes)
            for i in range(len(table))
        ),
    )
    return model


def counts(record: PruningRecord) -> list[tuple[int, int]]:
    return list(zip(record.own.tolist(), record.found.tolist(), strict=True))


# --- by hand: seven images of two pixels

TWO = PrototypeTable([0, 1], [RED, RED], num_classes=2, num_scales=3)
THREE = PrototypeTable([0, 1, 0], [RED, RED, RED], num_classes=2, num_scales=3)
COLOURS = [0.0, 0.9, 5.0]
ROWS = [[0.0, 0.9], [0.1, 0.8], [0.2, 0.7], [0.3, 5.0], [5.0, 0.4], [0.5, 0.5], [0.6, 5.0]]
LABELS = [[0, 1], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1], [0, 0]]


def seven_images() -> tuple[Tensor, Tensor]:
    return images_of(*([row] for row in ROWS)), torch.tensor([[row] for row in LABELS])


def test_by_hand(device: torch.device) -> None:
    model = projected_model(THREE, COLOURS).to(device)
    images, labels = seven_images()
    vectors, weight = model.prototype_layer.prototypes.clone(), model.head.weight.clone()
    record = prune_prototypes(model, [(images[:3], labels[:3]), (images[3:], labels[3:])])
    # Nearest to 0.0: 0.0, 0.1 (class 0), 0.2, 0.3, 0.4, 0.5 (class 1), one in each image.
    # Nearest to 0.9: 0.9, 0.8, 0.7, 0.5, 0.4 (class 1), and 0.6 (class 0) before 0.5.
    # Nearest to 5.0: three times 5.0 (class 0), then 0.9, 0.8, 0.7 (class 1).
    assert counts(record) == [(2, 6), (5, 6), (3, 6)]
    assert record.kept.tolist() == [1, 2]
    assert model.table.class_index.tolist() == [1, 0]
    assert torch.equal(model.prototype_layer.prototypes, vectors[1:])
    assert torch.equal(model.head.weight, weight[:, 1:])
    assert [entry.image_index for entry in model.provenance] == [1, 2]


@pytest.mark.parametrize(("least", "kept"), [(2, [0, 1, 2]), (3, [1, 2]), (4, [1]), (5, [1])])
@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_the_number_of_own_patches_decides(least: int, kept: list[int]) -> None:
    model = projected_model(THREE, COLOURS)
    assert prune_prototypes(model, [seven_images()], least=least).kept.tolist() == kept


@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_ignored_pixels_are_no_patches() -> None:
    model = projected_model(TWO, [0.0, 0.0])
    images = images_of([[0.0, 0.3]], [[0.1, 0.2]], [[0.0, 0.0]])
    labels = torch.tensor([[[VOID, 0]], [[0, 1]], [[VOID, VOID]]])
    # Image 0: the pixel of 0.3; image 1: that of 0.1; image 2 has none.
    record = prune_prototypes(model, [(images, labels)], least=1)
    assert counts(record) == [(2, 2), (0, 2)]


@pytest.mark.parametrize(
    ("classes", "kept"),
    [([0], True), ([1], False), ([0, 1], True), ([0, 1, 1], False), ([0, 0, 1, 1, 1], False)],
)
@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_of_few_images_the_same_share_is_required(classes: list[int], kept: bool) -> None:
    table = PrototypeTable([0, 1, 1], [RED, RED, GREEN], num_classes=2, num_scales=3)
    images = torch.zeros(len(classes), 3, 1, 1)
    images[:, GREEN] = torch.tensor(classes)[:, None, None]
    labels = torch.tensor(classes)[:, None, None]
    model = projected_model(table, [0.0, 9.0, 1.0])
    record = prune_prototypes(model, [(images, labels)])
    assert (0 in record.kept.tolist()) == kept
    assert record.found.tolist() == [len(classes)] * 3


@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_one_pixel_of_the_class_in_the_patch_is_enough() -> None:
    # One image of two positions, whose patches are 3x2 and 3x3 pixels of the labels.
    images = images_of([[0.0, 1.0]])
    model = projected_model(TWO, [0.0, 1.0])
    labels = torch.tensor([[[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]])
    # The middles of the patches are of the classes 1 and 0. The first shows 0 in one pixel, and the
    # second shows 1 in one pixel.
    assert counts(prune_prototypes(model, [(images, labels)], least=1)) == [(1, 1), (1, 1)]
    model = projected_model(TWO, [0.0, 1.0])
    labels[0, 0, 2] = 0
    assert counts(prune_prototypes(model, [(images, labels)], least=1)) == [(1, 1), (0, 1)]


def test_a_patch_whose_middle_is_ignored_is_none() -> None:
    model = projected_model(TWO, [0.0, 0.0])
    labels = torch.tensor([[[1, 1, 1, 0, 0, 0], [1, VOID, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0]]])
    record = prune_prototypes(model, [(images_of([[0.0, 1.0]]), labels)], least=1)
    # Both prototypes go to the second patch, whose middle is of class 1 and whose rest is of 0.
    assert counts(record) == [(1, 1), (1, 1)]


@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_labels_smaller_than_the_grid() -> None:
    model = projected_model(TWO, [0.0, 0.0])
    images = images_of([[1.0, 0.0, 0.5]])
    record = prune_prototypes(model, [(images, torch.tensor([[[0, 1]]]))], least=1)
    assert counts(record) == [(0, 1), (1, 1)]


def test_ties_go_to_the_lowest_image_then_the_first_position() -> None:
    model = projected_model(TWO, [0.0, 0.0])
    images = images_of(*([[1.0, 1.0]] for _ in range(4)))
    labels = torch.tensor([[[1, 0]], [[0, 1]], [[0, 1]], [[0, 1]]])
    batches = [(images[[i]], labels[[i]], [i]) for i in (3, 1, 0, 2)]
    assert counts(prune_prototypes(model, batches, nearest=2, least=1)) == [(1, 2), (1, 2)]


def test_an_image_that_comes_twice_counts_once() -> None:
    model = projected_model(TWO, [0.0, 0.0])
    images, labels = images_of([[0.0]], [[1.0]]), torch.tensor([[[0]], [[1]]])
    batches = [(images, labels, [0, 1]), (images[:1], labels[:1], [0])]
    assert counts(prune_prototypes(model, batches)) == [(1, 2), (1, 2)]


# --- against a loop over everything


def pixels_of(cell: int, cells: int, pixels: int) -> range:
    """The pixels along one side that a cell covers."""
    if pixels < cells:
        middle = math.floor((cell + 0.5) * pixels / cells)
        return range(middle, middle + 1)
    return range(math.floor(cell * pixels / cells), math.floor((cell + 1) * pixels / cells))


def loop_version(
    model: ScaleProtoSeg, images: Tensor, labels: Tensor, nearest: int
) -> list[tuple[int, int]]:
    embedding = model.embed(images).detach().double()
    (h, w), (height, width) = embedding.shape[3:], labels.shape[1:]
    result = []
    for p, prototype in enumerate(model.prototype_layer.prototypes.detach().double()):
        scale, own = int(model.table.scale_index[p]), int(model.table.class_index[p])
        best = []
        for b, picture in enumerate(labels.tolist()):
            patches = [
                ((embedding[b, scale, :, row, col] - prototype).square().sum().item(), row, col)
                for row, col in itertools.product(range(h), range(w))
                if picture[int((row + 0.5) * height / h)][int((col + 0.5) * width / w)] != VOID
            ]
            if patches:
                distance, row, col = min(patches)
                shown = {
                    picture[y][x]
                    for y in pixels_of(row, h, height)
                    for x in pixels_of(col, w, width)
                }
                best.append((distance, b, own in shown))
        chosen = sorted(best)[:nearest]
        result.append((sum(of_own for *_, of_own in chosen), len(chosen)))
    return result


@given(seed=st.integers(0, 10**6), nearest=st.integers(1, 7), data=st.data())
@settings(max_examples=20, deadline=None)
@pytest.mark.filterwarnings("ignore:pruning leaves no prototype")
def test_it_is_the_loop_over_everything(seed: int, nearest: int, data: st.DataObject) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = PrototypeTable([0, 0, 1, 2, 2], [0, 1, 1, 1, 0], num_classes=3, num_scales=3)
    model = projected_model(table, [i / 4 for i in range(5)])
    # Few colours, so that many patches are equally far away.
    images = torch.randint(0, 4, (5, 3, 2, 3), generator=generator) / 4
    size = data.draw(st.sampled_from([(2, 3), (1, 2), (5, 7), (4, 9)]), label="size of labels")
    labels = torch.randint(0, 4, (5, *size), generator=generator)
    labels[labels == 3] = VOID
    expected = loop_version(model, images, labels, nearest)
    least = data.draw(st.integers(1, nearest))
    kept = [i for i, (own, found) in enumerate(expected) if own * nearest >= least * found]
    order = torch.randperm(5, generator=generator).tolist()
    batches = [(images[part], labels[part], part) for part in (order[:2], order[2:])]
    if not kept:
        with pytest.raises(ValueError, match="none would remain"):
            prune_prototypes(model, batches, nearest=nearest, least=least)
        assert len(model.table) == 5
        return
    record = prune_prototypes(model, batches, nearest=nearest, least=least)
    assert counts(record) == expected
    assert record.kept.tolist() == kept
    assert len(model.table) == len(model.provenance) == model.head.weight.shape[1] == len(kept)


# --- what goes with a prototype, and errors


def test_a_class_that_loses_all_is_named(tmp_path: Path) -> None:
    model = projected_model(TWO, [0.0, 0.9], class_names=("sky", "sea"))
    batch = seven_images()
    with pytest.warns(UserWarning, match="leaves no prototype of class sky"):
        prune_prototypes(model, [batch])
    model.save_pretrained(tmp_path)
    loaded = loaded_colours(tmp_path)
    assert loaded.table.class_index.tolist() == [1]
    assert torch.equal(loaded(batch[0]).logits, model.eval()(batch[0]).logits)
    assert loaded(batch[0]).logits.shape[1] == 2


def test_after_projection_all_nearest_patches_may_be_own() -> None:
    model = colour_model(TWO)
    set_prototypes(model, [0.0, 1.0])
    images, labels = images_of(*([[0.0, 1.0]] for _ in range(6))), torch.tensor([[[0, 1]]] * 6)
    project_prototypes(model, [(images, labels)])
    record = prune_prototypes(model, [(images, labels)])
    assert counts(record) == [(6, 6), (6, 6)]
    assert [entry.image_index for entry in model.provenance] == [0, 0]


def test_what_it_cannot_do() -> None:
    batch = images_of([[0.0]]), torch.tensor([[[0]]])
    with pytest.raises(ValueError, match=r"not projected.*call project_prototypes"):
        prune_prototypes(colour_model(TWO), [batch])
    model = projected_model(TWO, [0.0, 0.9])
    with pytest.raises(ValueError, match="least is 7"):
        prune_prototypes(model, [batch], least=7)
    with pytest.raises(ValueError, match="there was no batch"):
        prune_prototypes(model, [])
    alone = PrototypeTable([0], [RED], num_classes=2, num_scales=3)
    with pytest.raises(ValueError, match="none would remain: train longer"):
        prune_prototypes(projected_model(alone, [0.0]), [(batch[0], batch[1] + 1)])
    model.group(1)
    with pytest.raises(ValueError, match=r"stage 2: prune before model\.group"):
        prune_prototypes(model, [batch])
