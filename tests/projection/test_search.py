import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeSearch, PrototypeTable
from protoxai.projection.search import ProjectionRecord
from tests.cases import VOID, tables
from tests.toys import assert_same_record, places


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
    result = finder.compute()
    assert places(result) == [(4, 0, 2)]
    assert result.distance.tolist() == [shift**2]
    assert result.distance.dtype == torch.float64
    assert result.vector.tolist() == [[0.5 + shift]]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_ties_across_images_go_to_the_lowest_data_set_index(order: list[int], size: int) -> None:
    embedding = grey([[0.5, 0.9]], [[0.9, 0.5]], [[0.9, 0.9]])
    batches = [order[start : start + size] for start in range(0, 3, size)]
    indices = [7, 3, 1]  # the nearest patches are in the images 7 and 3
    result = search(ONE, MIDDLE, embedding, labels_like(embedding), batches, indices)
    assert places(result) == [(3, 0, 1)]


def test_a_nearer_patch_beats_a_lower_index() -> None:
    embedding = grey([[0.6]], [[0.5]])
    result = search(ONE, MIDDLE, embedding, labels_like(embedding), [[0], [1]], [0, 1])
    assert places(result) == [(1, 0, 0)]


def test_an_image_seen_twice_counts_once() -> None:
    embedding = grey([[0.9, 0.6]], [[0.6, 0.6]])
    finder = PrototypeSearch(ONE, MIDDLE)
    labels = labels_like(embedding)
    assert finder.update(embedding, labels, [0, 1]).tolist() == [0]
    before = finder.compute()
    assert finder.update(embedding, labels, [0, 1]).tolist() == []
    assert_same_record(finder.compute(), before)


def test_only_the_scale_of_the_prototype_is_searched() -> None:
    table = PrototypeTable([0, 0], [1, 0], num_classes=1, num_scales=2)
    embedding = torch.tensor([[[0.5, 0.1]], [[0.1, 0.4]]])[None, :, :, None]
    result = search(table, torch.full((2, 1), 0.5), embedding, labels_like(embedding), [[0]], [0])
    assert places(result) == [(0, 0, 1), (0, 0, 0)]
    assert result.vector.flatten().tolist() == pytest.approx([0.4, 0.5])


def test_void_and_other_classes_are_never_chosen() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    embedding = grey([[0.5, 0.5, 0.8, 0.9]])
    labels = torch.tensor([[[VOID, 1, 0, 1]]])
    result = search(table, torch.tensor([[0.5], [0.9]]), embedding, labels, [[0]], [0])
    assert places(result) == [(0, 0, 2), (0, 0, 3)]


def test_another_ignore_value() -> None:
    finder = PrototypeSearch(ONE, MIDDLE, ignore_index=-1)
    finder.update(grey([[0.5, 0.8]]), torch.tensor([[[-1, 0]]]), [0])
    assert places(finder.compute()) == [(0, 0, 1)]


def test_a_class_that_never_occurs_keeps_its_vectors() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=3, num_scales=1)
    prototypes = torch.tensor([[0.1], [0.2]])
    embedding = grey([[0.5, 0.6]])
    labels = torch.tensor([[[0, 2]]])
    result = search(table, prototypes, embedding, labels, [[0], [0]], [0])
    assert result.projected.tolist() == [True, False]
    assert places(result)[1] == (-1, -1, -1)
    assert result.distance[1] == torch.inf
    assert result.vector[1].tolist() == prototypes[1].tolist()


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
    result = search(table, prototypes, embedding, labels, [[0]], [0])
    assert result.vector.flatten().tolist() == [0.5, 0.5, 0.5, 0.5, 0.75]
    assert result.kept.tolist() == [0, 2, 4]


def test_vectors_that_differ_in_the_last_bit_both_stay() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    near = torch.nextafter(torch.tensor(0.5), torch.tensor(1.0)).item()
    embedding = grey([[0.5, near]])
    result = search(table, MIDDLE.expand(2, 1), embedding, torch.tensor([[[0, 1]]]), [[0]], [0])
    assert result.kept.tolist() == [0, 1]


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
    result = search(table, prototypes, embedding, labels_like(embedding), [[0]], [0])
    assert places(result) == [(0, 1, 2)] * 2
    assert result.kept.tolist() == [0]
    assert torch.equal(result.vector, prototypes)


# --- the search, against a loop


def by_loop(
    table: PrototypeTable,
    prototypes: Tensor,
    embedding: Tensor,
    labels: Tensor,
    indices: Sequence[int],
) -> tuple[list[Any], list[int]]:
    """(distance, image, row, col, vector) of each prototype or None, and who stays."""
    result: list[Any] = []
    cells = list(zip(table.class_index.tolist(), table.scale_index.tolist(), strict=True))
    for number, (class_index, scale) in enumerate(cells):
        prototype = prototypes[number].double()
        candidates = []
        for image, row, col in (labels == class_index).nonzero().tolist():
            vector = embedding[image, scale, :, row, col]
            distance = (vector.double() - prototype).square().sum().item()
            candidates.append((distance, indices[image], row, col, vector.tolist()))
        result.append(min(candidates, key=lambda candidate: candidate[:4], default=None))
    seen, kept = set(), []
    for number, (_, scale) in enumerate(cells):
        vector = prototypes[number].tolist() if result[number] is None else result[number][4]
        if (scale, tuple(vector)) not in seen:
            kept.append(number)
        seen.add((scale, tuple(vector)))
    return result, kept


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
    assert_same_record(record, at_once)


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
        ((2, 1, 1, 3, 4), (2, 3, 5), 2, r"labels: got shape \(2, 3, 5\).*on the grid"),
        ((2, 1, 1, 3, 4), (2, 3, 4), 1, "image_indices is .*expected 2 whole numbers"),
        ((2, 1, 3, 4), (2, 3, 4), 2, r"embedding: got shape \(2, 1, 3, 4\)"),
        ((2, 2, 1, 3, 4), (2, 3, 4), 2, r"embedding: got shape \(2, 2, 1, 3, 4\), expected"),
        ((2, 1, 2, 3, 4), (2, 3, 4), 2, r"embedding: got shape \(2, 1, 2, 3, 4\), expected"),
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
    with pytest.raises(ValueError, match=r"prototypes: got shape .*expected \(rows=1, channels\)"):
        PrototypeSearch(ONE, torch.rand(shape))


# --- finiteness


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_embedding_that_is_not_finite_is_named_and_nothing_searched(value: float) -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    search = PrototypeSearch(table, torch.tensor([[0.0], [1.0]]))
    embedding = torch.rand(2, 1, 1, 2, 2)
    embedding[1, 0, 0, 1, 1] = value
    labels = torch.tensor([[[0, 1], [0, 1]]]).expand(2, 2, 2)
    with pytest.raises(ValueError, match=r"embedding of the image 9 has .* \(1 of 4\)"):
        search.update(embedding, labels, [5, 9])
    assert not search.compute().projected.any()


def test_prototypes_that_are_not_finite() -> None:
    table = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=1)
    with pytest.raises(ValueError, match=r"prototypes \(1 of 2 values\)"):
        PrototypeSearch(table, torch.tensor([[0.0], [math.nan]]))
