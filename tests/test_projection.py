import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeSearch, PrototypeTable, project_prototypes
from protoxai.active_region import patch_box
from protoxai.projection import ProjectionRecord
from tests.cases import VOID, tables
from tests.toys import batchnorm_state, colour_model, images_of, loaded_colours, modes, small_model

RED, GREEN, BLUE = range(3)
FIELDS = ("image_index", "row", "col", "distance", "vector", "kept")


def assert_same(first: ProjectionRecord, second: ProjectionRecord) -> None:
    """Every field to the last bit."""
    for name in FIELDS:
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert first.provenance == second.provenance


def places(record: ProjectionRecord) -> list[tuple[int, int, int]]:
    columns = (record.image_index, record.row, record.col)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def search(
    table: PrototypeTable,
    prototypes: Tensor,
    embedding: Tensor,
    labels: Tensor,
    batches: Iterable[Sequence[int]],
    indices: Sequence[int],
) -> ProjectionRecord:
    finder = PrototypeSearch(table, prototypes)
    for batch in batches:
        chosen = list(batch)
        finder.update(embedding[chosen], labels[chosen], [indices[i] for i in chosen])
    return finder.compute()


# --- the search, by hand: one class, one scale, one channel


ONE = PrototypeTable([0], [0], num_classes=1, num_scales=1)
MIDDLE = torch.tensor([[0.5]])


def grey(*images: list[list[float]]) -> Tensor:
    """Embeddings of one scale and one channel."""
    return torch.tensor(images)[:, None, None]


def labels_like(embedding: Tensor) -> Tensor:
    return torch.zeros(len(embedding), *embedding.shape[3:], dtype=torch.long)


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_ties_in_an_image_go_to_the_first_in_row_major_order(
    shift: float, device: torch.device
) -> None:
    # Above and below the prototype at the same distance.
    embedding = grey([[0.9, 0.9, 0.5 + shift], [0.5 - shift, 0.9, 0.5 + shift]]).to(device)
    finder = PrototypeSearch(ONE, MIDDLE.to(device))
    finder.update(embedding, labels_like(embedding).to(device), [4])
    found = finder.compute()
    assert places(found) == [(4, 0, 2)]
    assert found.distance.tolist() == [shift**2]
    assert found.distance.dtype == torch.float64
    assert found.vector.tolist() == [[0.5 + shift]]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_ties_across_images_go_to_the_lowest_data_set_index(order: list[int], size: int) -> None:
    embedding = grey([[0.5, 0.9]], [[0.9, 0.5]], [[0.9, 0.9]])
    batches = [order[start : start + size] for start in range(0, 3, size)]
    indices = [7, 3, 1]  # the nearest patches are in the images 7 and 3
    found = search(ONE, MIDDLE, embedding, labels_like(embedding), batches, indices)
    assert places(found) == [(3, 0, 1)]


def test_a_nearer_patch_beats_a_lower_index() -> None:
    embedding = grey([[0.6]], [[0.5]])
    found = search(ONE, MIDDLE, embedding, labels_like(embedding), [[0], [1]], [0, 1])
    assert places(found) == [(1, 0, 0)]


def test_an_image_seen_twice_counts_once() -> None:
    embedding = grey([[0.9, 0.6]], [[0.6, 0.6]])
    finder = PrototypeSearch(ONE, MIDDLE)
    labels = labels_like(embedding)
    assert finder.update(embedding, labels, [0, 1]).tolist() == [0]
    before = finder.compute()
    assert finder.update(embedding, labels, [0, 1]).tolist() == []
    assert_same(finder.compute(), before)


def test_only_the_scale_of_the_prototype_is_searched() -> None:
    table = PrototypeTable([0, 0], [1, 0], num_classes=1, num_scales=2)
    embedding = torch.tensor([[[0.5, 0.1]], [[0.1, 0.4]]])[None, :, :, None]
    found = search(table, torch.full((2, 1), 0.5), embedding, labels_like(embedding), [[0]], [0])
    assert places(found) == [(0, 0, 1), (0, 0, 0)]
    assert found.vector.flatten().tolist() == pytest.approx([0.4, 0.5])


def test_void_and_other_classes_are_never_chosen() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    embedding = grey([[0.5, 0.5, 0.8, 0.9]])
    labels = torch.tensor([[[VOID, 1, 0, 1]]])
    found = search(table, torch.tensor([[0.5], [0.9]]), embedding, labels, [[0]], [0])
    assert places(found) == [(0, 0, 2), (0, 0, 3)]


def test_another_ignore_value() -> None:
    finder = PrototypeSearch(ONE, MIDDLE, ignore_index=-1)
    finder.update(grey([[0.5, 0.8]]), torch.tensor([[[-1, 0]]]), [0])
    assert places(finder.compute()) == [(0, 0, 1)]


def test_a_class_that_never_occurs_keeps_its_vectors() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=3, num_scales=1)
    prototypes = torch.tensor([[0.1], [0.2]])
    embedding = grey([[0.5, 0.6]])
    labels = torch.tensor([[[0, 2]]])
    found = search(table, prototypes, embedding, labels, [[0], [0]], [0])
    assert found.projected.tolist() == [True, False]
    assert places(found)[1] == (-1, -1, -1)
    assert found.distance[1] == torch.inf
    assert found.vector[1].tolist() == prototypes[1].tolist()


def test_a_batch_of_void_finds_nothing() -> None:
    finder = PrototypeSearch(ONE, MIDDLE)
    moved = finder.update(grey([[0.5]]), torch.tensor([[[VOID]]]), [0])
    assert moved.tolist() == []
    assert not finder.compute().projected.any()


def test_duplicates_of_a_scale_go_even_across_classes_and_the_first_stays() -> None:
    table = PrototypeTable([1, 0, 0, 1, 0], [0, 0, 1, 1, 0], num_classes=2, num_scales=2)
    embedding = torch.full((1, 2, 1, 1, 3), 0.5)
    embedding[..., 2] = 0.75
    labels = torch.tensor([[[0, 1, 0]]])
    prototypes = torch.tensor([[0.5], [0.5], [0.5], [0.5], [0.75]])
    found = search(table, prototypes, embedding, labels, [[0]], [0])
    assert found.vector.flatten().tolist() == [0.5, 0.5, 0.5, 0.5, 0.75]
    assert found.kept.tolist() == [0, 2, 4]


def test_vectors_that_differ_in_the_last_bit_both_stay() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    near = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0)).item()
    embedding = grey([[0.5, near]])
    found = search(table, MIDDLE.expand(2, 1), embedding, torch.tensor([[[0, 1]]]), [[0]], [0])
    assert found.kept.tolist() == [0, 1]


def test_memory_does_not_grow_with_the_images() -> None:
    table = PrototypeTable.regular(num_classes=2, num_scales=2, per_scale=2)
    finder = PrototypeSearch(table, torch.rand(8, 3))

    def held() -> dict[str, Any]:
        return {
            name: tuple(value.shape) if isinstance(value, Tensor) else len(value)
            for name, value in vars(finder).items()
            if isinstance(value, Tensor | list | dict | tuple)
        }

    before = held()
    assert before
    for index in range(5):
        finder.update(torch.rand(2, 2, 3, 4, 5), torch.randint(0, 2, (2, 4, 5)), [index, index + 5])
        assert held() == before


def test_the_record_is_a_copy() -> None:
    finder = PrototypeSearch(ONE, MIDDLE)
    finder.update(grey([[0.7]]), torch.zeros(1, 1, 1, dtype=torch.long), [0])
    record = finder.compute()
    finder.update(grey([[0.6]]), torch.zeros(1, 1, 1, dtype=torch.long), [1])
    assert places(record) == [(0, 0, 0)]
    assert record.vector.tolist() == pytest.approx(torch.tensor([[0.7]]))


def test_half_precision_embeddings_and_prototypes() -> None:
    table = PrototypeTable([0, 0], [0, 0], num_classes=1, num_scales=1)
    embedding = torch.rand(1, 1, 64, 4, 4).bfloat16()
    prototypes = embedding[0, 0, :, [1, 1], [2, 2]].T
    found = search(table, prototypes, embedding, labels_like(embedding), [[0]], [0])
    assert places(found) == [(0, 1, 2)] * 2
    assert found.kept.tolist() == [0]
    assert torch.equal(found.vector, prototypes)


# --- the search, against a loop


def by_loop(
    table: PrototypeTable,
    prototypes: Tensor,
    embedding: Tensor,
    labels: Tensor,
    indices: Sequence[int],
) -> tuple[list[Any], list[int]]:
    """(distance, image, row, col, vector) of each prototype or None, and who stays."""
    found: list[Any] = []
    cells = list(zip(table.class_index.tolist(), table.scale_index.tolist(), strict=True))
    for number, (class_index, scale) in enumerate(cells):
        prototype = prototypes[number].double()
        candidates = []
        for image, row, col in (labels == class_index).nonzero().tolist():
            vector = embedding[image, scale, :, row, col]
            distance = (vector.double() - prototype).square().sum().item()
            candidates.append((distance, indices[image], row, col, vector.tolist()))
        found.append(min(candidates, key=lambda candidate: candidate[:4], default=None))
    seen, kept = set(), []
    for number, (_, scale) in enumerate(cells):
        vector = prototypes[number].tolist() if found[number] is None else found[number][4]
        if (scale, tuple(vector)) not in seen:
            kept.append(number)
        seen.add((scale, tuple(vector)))
    return found, kept


@settings(max_examples=150)
@given(st.data())
def test_any_table_batching_and_order_agrees_with_a_loop(data: st.DataObject) -> None:
    table = data.draw(tables())
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32 - 1)))
    images, dim, h, w = (data.draw(st.integers(1, n)) for n in (4, 3, 3, 3))
    levels = data.draw(st.sampled_from([2, 3, 1000]))  # few levels make ties, many make none

    def draw(*shape: int) -> Tensor:
        return torch.randint(0, levels, shape, generator=generator) / levels

    embedding, prototypes = draw(images, table.num_scales, dim, h, w), draw(len(table), dim)
    values = torch.tensor([*range(table.num_classes), VOID])
    labels = values[torch.randint(0, len(values), (images, h, w), generator=generator)]
    indices = data.draw(st.permutations(range(0, 3 * images, 3)))
    order = data.draw(st.permutations(range(images)))
    size = data.draw(st.integers(1, images))
    batches = [order[start : start + size] for start in range(0, images, size)]

    record = search(table, prototypes, embedding, labels, batches, indices)

    expected, kept = by_loop(table, prototypes, embedding, labels, indices)
    assert record.kept.tolist() == kept
    for number, nearest in enumerate(expected):
        assert bool(record.projected[number]) == (nearest is not None)
        if nearest is not None:
            distance, *place, vector = nearest
            assert list(places(record)[number]) == place
            assert record.distance[number].item() == pytest.approx(distance, rel=1e-12, abs=0)
            assert record.vector[number].tolist() == vector
    at_once = search(table, prototypes, embedding, labels, [range(images)], indices)
    assert_same(record, at_once)


def test_rounding_of_the_fast_distances_decides_nothing() -> None:
    # Patches a few last bits apart, whose fast distances cannot tell them from one another.
    table = PrototypeTable.regular(num_classes=1, num_scales=1, per_scale=3)
    prototypes = torch.rand(3, 64)
    near = prototypes[1][:, None] + 1e-7 * torch.rand(64, 60)
    embedding = near.view(1, 1, 64, 6, 10)
    labels = labels_like(embedding)
    record = search(table, prototypes, embedding, labels, [[0]], [0])
    expected, _ = by_loop(table, prototypes, embedding, labels, [0])
    assert places(record) == [tuple(nearest[1:4]) for nearest in expected]


# --- what cannot be searched


@pytest.mark.parametrize(
    ("embedding", "labels", "indices", "message"),
    [
        ((2, 1, 1, 3, 4), (2, 3, 5), 2, r"labels \(2, 3, 5\).*expected \(B, S, D, h, w\)"),
        ((2, 1, 1, 3, 4), (2, 3, 4), 1, "1 image indices do not fit"),
        ((2, 1, 3, 4), (2, 3, 4), 2, r"embedding \(2, 1, 3, 4\).*do not fit"),
        ((2, 2, 1, 3, 4), (2, 3, 4), 2, r"embedding has shape \(2, 2, 1, 3, 4\), expected"),
        ((2, 1, 2, 3, 4), (2, 3, 4), 2, r"embedding has shape \(2, 1, 2, 3, 4\), expected"),
    ],
)
def test_shapes_that_do_not_fit(
    embedding: tuple[int, ...], labels: tuple[int, ...], indices: int, message: str
) -> None:
    finder = PrototypeSearch(ONE, MIDDLE)
    zeros = torch.zeros(labels, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        finder.update(torch.rand(embedding), zeros, range(indices))


def test_labels_that_are_no_class() -> None:
    with pytest.raises(ValueError, match="labels hold 3; expected classes 0 to 0"):
        PrototypeSearch(ONE, MIDDLE).update(grey([[0.5]]), torch.tensor([[[3]]]), [0])
    with pytest.raises(TypeError, match="expected integers"):
        PrototypeSearch(ONE, MIDDLE).update(grey([[0.5]]), torch.zeros(1, 1, 1), [0])


@pytest.mark.parametrize("shape", [(2, 4), (1,), (1, 4, 1)])
def test_prototypes_that_do_not_fit_the_table(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"prototypes have shape .*expected \(1, D\)"):
        PrototypeSearch(ONE, torch.rand(shape))


# --- the model: its embedding is the sigmoid of the images' colours


TWO = PrototypeTable([0, 1], [RED, RED], num_classes=2, num_scales=3)


def set_prototypes(model: Any, colours: Sequence[float]) -> None:
    """Prototypes that are hit exactly by these colours."""
    model.prototype_layer.prototypes.data.copy_(torch.tensor(colours)[:, None].sigmoid())


def test_prototypes_become_patches_with_their_provenance(device: torch.device) -> None:
    model = colour_model(TWO).to(device)
    set_prototypes(model, [0.1, 0.9])
    images = images_of([[0.2, 0.7], [0.2, 0.1]], [[0.8, 0.3], [0.5, 0.2]])
    labels = torch.tensor([[[0, 1], [0, VOID]], [[1, 0], [1, 1]]])
    batch = {"image": images, "labels": labels, "index": [6, 2], "id": ["six", "two"]}
    record = project_prototypes(model, [batch])
    assert places(record) == [(6, 0, 0), (2, 0, 0)]
    expected = torch.tensor([[0.2], [0.8]], device=device).sigmoid()
    assert torch.equal(model.prototype_layer.prototypes.detach(), expected)
    assert record.provenance == model.provenance
    first, second = model.provenance
    assert (first.projected, first.image_id, first.row, first.col) == (True, "six", 0, 0)
    assert (second.image_index, second.image_id) == (2, "two")
    assert (first.grid, first.patch) == ((2, 2), (0, 0, 2, 2))
    moved = torch.tensor([0.1, 0.2]).sigmoid().double().diff().square().item()
    assert first.distance == pytest.approx(moved, rel=1e-5)


def test_an_exact_hit_has_the_highest_activation_after() -> None:
    model = colour_model(TWO).eval()
    images, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 2, (2, 4, 5))
    project_prototypes(model, [(images, labels)])
    activations = model(images).activations
    for number, entry in enumerate(model.provenance):
        hit = activations[entry.image_index, number, entry.row, entry.col]
        assert hit.item() == pytest.approx(math.log(1e4), abs=0.01)


def test_labels_are_sampled_at_the_centres() -> None:
    # Grid pixel i of two covers label pixels 3i to 3i + 2; its centre is 3i + 1.
    model = colour_model(TWO)
    set_prototypes(model, [0.5, 0.5])
    images = images_of([[0.5, 0.6]])
    labels = torch.full((1, 3, 6), VOID)
    labels[0, 1, 1], labels[0, 1, 4] = 1, 0
    labels[0, 0, :], labels[0, 2, :] = 0, 1
    assert places(project_prototypes(model, [(images, labels)])) == [(0, 0, 1), (0, 0, 0)]


def test_boxes_are_in_pixels_of_the_labels() -> None:
    model = colour_model(TWO, stride=4)
    images = torch.randn(2, 3, 20, 28)  # a grid of 5 x 7
    labels = torch.randint(0, 2, (2, 33, 50))
    project_prototypes(model, [(images, labels)])
    for entry in model.provenance:
        assert entry.grid == (5, 7)
        assert entry.patch == patch_box(entry.row, entry.col, (5, 7), (33, 50))
        inner, outer = entry.patch, entry.active_region
        assert 0 <= outer[0] <= inner[0] < inner[2] <= outer[2] <= 33
        assert 0 <= outer[1] <= inner[1] < inner[3] <= outer[3] <= 50


def test_active_region_is_of_the_prototype_before_it_moved() -> None:
    # The old prototype is nearest to 0.5 and near to 0.55; only the blob around it is active.
    one = PrototypeTable([0], [RED], num_classes=1, num_scales=3)
    model = colour_model(one)
    set_prototypes(model, [0.5])
    image = torch.linspace(2, 3, 400).view(20, 20)
    image[3:7, 4:9] = 0.55
    image[5, 6] = 0.51
    image[15, 15] = 0.55
    project_prototypes(model, [(images_of(image.tolist()), torch.zeros(1, 20, 20).long())])
    (entry,) = model.provenance
    assert (entry.row, entry.col) == (5, 6)
    assert entry.active_region == (3, 4, 7, 9)


def test_duplicates_go_from_the_whole_model() -> None:
    table = PrototypeTable([0, 1, 0, 1], [RED, RED, GREEN, RED], num_classes=2, num_scales=3)
    model = colour_model(table)
    images = images_of([[0.5, 0.5, 0.9]])
    labels = torch.tensor([[[0, 1, 1]]])
    set_prototypes(model, [0.5, 0.5, 0.5, 0.9])
    weight = torch.randn(2, 4)
    model.head.weight.data.copy_(weight)
    record = project_prototypes(model, [(images, labels)])
    assert len(record.image_index) == 4
    assert record.kept.tolist() == [0, 2, 3]
    assert model.table == model.head.table == table.keep([0, 2, 3])
    assert torch.equal(model.head.weight.detach(), weight[:, [0, 2, 3]])
    assert [entry.col for entry in model.provenance] == [0, 0, 2]
    assert model.predict(images).shape == (1, 1, 3)


@pytest.mark.parametrize(("names", "said"), [(None, "1, 2"), (("road", "car", "sky"), "car, sky")])
def test_a_class_that_never_occurs_is_named_in_a_warning(
    names: tuple[str, ...] | None, said: str
) -> None:
    table = PrototypeTable([1, 0, 2], [RED, RED, GREEN], num_classes=3, num_scales=3)
    model = colour_model(table, class_names=names)
    set_prototypes(model, [0.3, 0.4, 0.6])
    batch = (images_of([[0.5]]), torch.zeros(1, 1, 1).long())
    with pytest.warns(UserWarning, match=f"no pixel of class {said} occurred") as warned:
        record = project_prototypes(model, [batch])
    assert warned[0].filename == __file__
    colours = torch.tensor([[0.3], [0.5], [0.6]])
    assert torch.equal(model.prototype_layer.prototypes.detach(), colours.sigmoid())
    assert [entry.projected for entry in model.provenance] == [False, True, False]
    assert model.provenance[0].patch is None
    assert record.projected.tolist() == [False, True, False]


def test_all_classes_occurring_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        project_prototypes(colour_model(TWO), [(images_of([[0.1, 0.2]]), torch.tensor([[[0, 1]]]))])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]])
@pytest.mark.parametrize("size", [1, 4, 6])
def test_any_order_and_batching_gives_the_same_record(order: list[int], size: int) -> None:
    images = torch.randint(0, 3, (6, 3, 3, 4)) / 4  # few colours, so that there are many ties
    labels = torch.randint(0, 2, (6, 3, 4))
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)
    records = []
    for chosen, step in (([0, 1, 2, 3, 4, 5], 6), (order, size)):
        model = colour_model(table)
        set_prototypes(model, [i / 12 for i in range(12)])
        indices = [chosen[start : start + step] for start in range(0, 6, step)]
        batches = [(images[i], labels[i], torch.tensor(i)) for i in indices]
        records.append((project_prototypes(model, batches), model.prototype_layer.prototypes))
    assert_same(records[0][0], records[1][0])
    assert torch.equal(records[0][1], records[1][1])


def test_images_of_several_sizes() -> None:
    model = colour_model(TWO)
    set_prototypes(model, [0.5, 0.6])
    small = (images_of([[0.5]]), torch.tensor([[[0]]]))
    wide = (images_of([[0.8, 0.6, 0.7]]), torch.full((1, 2, 6), 1))
    record = project_prototypes(model, [small, wide])
    assert places(record) == [(0, 0, 0), (1, 0, 1)]
    assert [entry.grid for entry in model.provenance] == [(1, 1), (1, 3)]
    assert [entry.patch for entry in model.provenance] == [(0, 0, 1, 1), (0, 2, 2, 5)]


def as_pairs(images: Tensor, labels: Tensor) -> list[Any]:
    return [(images[:2], labels[:2]), [images[2:], labels[2:]]]


def as_triples(images: Tensor, labels: Tensor) -> list[Any]:
    return [(images[2:], labels[2:], torch.tensor([2])), (images[:2], labels[:2], [0, 1])]


def as_mappings(images: Tensor, labels: Tensor) -> list[Any]:
    return [
        {"image": images[2:], "labels": labels[2:], "index": torch.tensor([2])},
        {"image": images[:2], "labels": labels[:2], "index": [0, 1], "other": None},
    ]


def as_mappings_without_indices(images: Tensor, labels: Tensor) -> list[Any]:
    return [
        {"image": images[:2], "labels": labels[:2]},
        {"image": images[2:], "labels": labels[2:]},
    ]


@pytest.mark.parametrize("form", [as_pairs, as_triples, as_mappings, as_mappings_without_indices])
def test_forms_of_a_batch(form: Any) -> None:
    images, labels = torch.randn(3, 3, 3, 4), torch.randint(0, 2, (3, 3, 4))
    expected = colour_model(TWO)
    set_prototypes(expected, [0.1, 0.9])
    model = colour_model(TWO)
    set_prototypes(model, [0.1, 0.9])
    record = project_prototypes(expected, [(images, labels, [0, 1, 2])])
    assert_same(project_prototypes(model, iter(form(images, labels))), record)
    assert [entry.image_id for entry in model.provenance] == [
        str(entry.image_index) for entry in model.provenance
    ]


def test_projecting_again_moves_nothing() -> None:
    model = colour_model(PrototypeTable.regular(2, 3, 2))
    batches = [(torch.randn(2, 3, 3, 4), torch.randint(0, 2, (2, 3, 4)))]
    first = project_prototypes(model, batches)
    vectors = model.prototype_layer.prototypes.detach().clone()
    second = project_prototypes(model, batches)
    assert torch.equal(model.prototype_layer.prototypes.detach(), vectors)
    assert second.distance.tolist() == [0.0] * len(model.table)
    kept = first.kept.tolist()
    assert places(second) == [places(first)[i] for i in kept]


@pytest.mark.parametrize("training", [False, True])
def test_mode_and_batchnorm_are_left_alone(training: bool) -> None:
    model = small_model().train(training)
    before, statistics = modes(model), batchnorm_state(model)
    project_prototypes(model, [(torch.randn(2, 3, 16, 20), torch.randint(0, 3, (2, 16, 20)))])
    assert modes(model) == before
    assert all(map(torch.equal, batchnorm_state(model), statistics))
    assert all(p.requires_grad for p in model.parameters())
    assert model.prototype_layer.prototypes.grad_fn is None


def test_images_are_seen_as_in_evaluation() -> None:
    model = small_model(input_scales=(0.5,)).train()
    images, labels = torch.randn(2, 3, 16, 20), torch.randint(0, 3, (2, 16, 20))
    project_prototypes(model, [(images, labels)])
    embedding = model.eval().embed(images)
    for number, entry in enumerate(model.provenance):
        scale = int(model.table.scale_index[number])
        patch = embedding[entry.image_index, scale, :, entry.row, entry.col]
        assert torch.equal(patch, model.prototype_layer.prototypes[number])


def test_record_survives_the_folder(tmp_path: Path) -> None:
    model = colour_model(TWO)
    batch = (torch.randn(2, 3, 3, 4), torch.randint(0, 2, (2, 3, 4)))
    project_prototypes(model, [batch])
    model.save_pretrained(tmp_path)
    assert loaded_colours(tmp_path).provenance == model.provenance


# --- what cannot be projected on


def test_stage_2_is_an_error() -> None:
    model = colour_model(TWO).group()
    with pytest.raises(ValueError, match=r"stage 2: project before model\.group"):
        project_prototypes(model, [(images_of([[0.5]]), torch.zeros(1, 1, 1).long())])


def test_an_empty_loader_is_an_error_that_changes_nothing() -> None:
    model = colour_model(TWO)
    before = model.prototype_layer.prototypes.detach().clone()
    with pytest.raises(ValueError, match="no batch to project on: give a loader"):
        project_prototypes(model, [])
    assert torch.equal(model.prototype_layer.prototypes.detach(), before)
    assert model.provenance is None


PIXEL = torch.zeros(1, 3, 1, 1)
LABEL = torch.zeros(1, 1, 1, dtype=torch.long)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((PIXEL,), ValueError, r"a batch has 1 parts, expected \(images, labels\)"),
        ((PIXEL, LABEL, [0], ["a"]), ValueError, r"a batch has 4 parts, expected"),
        ({"image": PIXEL}, ValueError, 'no "labels"'),
        ({"images": PIXEL, "labels": LABEL}, ValueError, 'no "image"'),
        (torch.zeros(2, 3, 4, 4), TypeError, "batch is a Tensor, expected"),
        ((PIXEL, LABEL[None]), ValueError, r"labels \(1, 1, 1, 1\), expected \(B, 3, H, W\)"),
        ((PIXEL, LABEL.expand(2, 1, 1)), ValueError, r"labels \(2, 1, 1\), expected"),
        ((PIXEL, LABEL, [0, 1]), ValueError, "2 image indices"),
        ((PIXEL, LABEL + 7), ValueError, "labels hold 7; expected classes 0 to 1"),
        ((PIXEL, LABEL.float()), TypeError, r"labels are torch\.float32, expected integers"),
        ((PIXEL.byte(), LABEL), TypeError, r"torch\.uint8.*divide by 255"),
    ],
)
def test_batches_that_are_none(batch: Any, error: type[Exception], message: str) -> None:
    model = colour_model(TWO).train()
    before = model.prototype_layer.prototypes.detach().clone()
    with pytest.raises(error, match=message):
        project_prototypes(model, [batch])
    assert model.training
    assert torch.equal(model.prototype_layer.prototypes.detach(), before)


# --- two processes


SPREAD = PrototypeTable.regular(num_classes=3, num_scales=3, per_scale=2)


def spread_data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 3, (6, 3, 3, 4), generator=generator) / 4
    labels = torch.randint(0, 2, (6, 3, 4), generator=generator)
    labels[5, 0, 0] = 2  # on one rank alone
    images[1] = images[2]
    labels[1] = labels[2]  # the lower index is on the second rank
    return images, labels


def spread_record(chosen: Sequence[int]) -> tuple[ProjectionRecord, Any]:
    model = colour_model(SPREAD)
    set_prototypes(model, [i / 18 for i in range(18)])
    images, labels = spread_data()
    batches = [(images[[i]], labels[[i]], [i]) for i in chosen]
    return project_prototypes(model, batches), model


def project_on_a_share(rank: int, shares: Sequence[Sequence[int]], folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=len(shares)
    )
    try:
        # Counting from 0 on every rank would give different images the same number.
        with pytest.raises(ValueError, match="indices"):
            project_prototypes(colour_model(SPREAD), [spread_data()])
        record, model = spread_record(shares[rank])
    finally:
        torch.distributed.destroy_process_group()
    torch.save({name: getattr(record, name) for name in FIELDS}, folder / f"{rank}.pt")
    model.save_pretrained(folder / str(rank))


@pytest.mark.slow
@pytest.mark.parametrize("shares", [[[0, 4, 2], [3, 1, 5]], [[5, 4, 3, 2, 1, 0], []]])
def test_two_processes_give_the_record_of_one(shares: list[list[int]], tmp_path: Path) -> None:
    record, model = spread_record(range(6))
    torch.multiprocessing.spawn(project_on_a_share, (shares, tmp_path), nprocs=2)
    for rank in ("0", "1"):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in FIELDS:
            assert torch.equal(found[name], getattr(record, name)), name
        loaded = loaded_colours(tmp_path / rank)
        assert loaded.provenance == model.provenance
        assert torch.equal(loaded.prototype_layer.prototypes, model.prototype_layer.prototypes)
        assert loaded.table == model.table
