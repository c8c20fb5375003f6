import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from protoxai import MultiScalePrototypeLayer, PrototypeTable
from tests.cases import UNEVEN, maps_of, permutations, rearranged, set_of, tables


def embeddings(table: PrototypeTable, dim: int) -> st.SearchStrategy[Tensor]:
    return maps_of(2, table.num_scales, dim, 2, 3).map(torch.sigmoid)


# --- the table


def test_regular_table_is_scale_major() -> None:
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)
    assert table.class_index.tolist() == [0, 0, 1, 1] * 3
    assert table.scale_index.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (table.num_classes, table.num_scales, len(table)) == (2, 3, 12)


@settings(max_examples=50)
@given(tables())
def test_counts_classes_and_members_agree_with_counting(table: PrototypeTable) -> None:
    classes, scales = range(table.num_classes), range(table.num_scales)
    assert table.counts.tolist() == [[len(set_of(table, c, s)) for s in scales] for c in classes]
    assert table.classes.tolist() == [c for c in classes if set_of(table, c)]

    def rows(by: str) -> list[list[int]]:
        members = table.members(by)
        return [index[mask].tolist() for index, mask in zip(*members, strict=True)]

    assert rows("class") == [set_of(table, c) for c in classes]
    assert rows("cell") == [set_of(table, c, s) for c in classes for s in scales]
    assert rows("scale") == [(table.scale_index == s).nonzero()[:, 0].tolist() for s in scales]


def test_indices_may_be_lists_arrays_or_tensors() -> None:
    same = [
        PrototypeTable(kind([0, 1]), kind([1, 0]), 2, 2)
        for kind in (list, tuple, np.array, torch.tensor, lambda x: torch.tensor(x).int())
    ]
    assert all(table == same[0] for table in same)
    assert all(table.class_index.dtype == torch.int64 for table in same)


def test_table_is_a_value() -> None:
    one, other = (PrototypeTable.regular(2, 2, 2) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "found"}[other] == "found"
    places = one.class_index, one.scale_index
    assert one != PrototypeTable(*places, num_classes=3, num_scales=2)
    assert one != PrototypeTable(*places, num_classes=2, num_scales=3)
    assert one != PrototypeTable(places[0].flip(0), places[1], 2, 2)
    assert one != PrototypeTable(places[0], places[1].flip(0), 2, 2)
    assert one != "a table"


def test_nothing_returned_or_given_can_change_a_table() -> None:
    given_classes, given_scales = torch.tensor([0, 1]), torch.tensor([0, 1])
    table = PrototypeTable(given_classes, given_scales, 2, 2)
    untouched = PrototypeTable([0, 1], [0, 1], 2, 2)
    given_classes.zero_()
    given_scales.zero_()
    for tensor in (table.class_index, table.scale_index, table.counts, table.classes):
        tensor.zero_()
    assert table == untouched
    assert table.counts.tolist() == [[1, 0], [0, 1]]
    assert table.classes.tolist() == [0, 1]


@pytest.mark.parametrize("by", ["class", "scale", "cell"])
def test_members_returned_cannot_change_a_table(by: str) -> None:
    table = PrototypeTable([0, 1], [0, 1], 2, 2)
    before = copy.deepcopy(table.members(by))
    table.members(by).index.zero_()
    table.members(by).mask.zero_()
    assert torch.equal(table.members(by).index, before.index)
    assert torch.equal(table.members(by).mask, before.mask)


@pytest.mark.parametrize("name", ["num_classes", "num_scales", "class_index", "scale_index"])
def test_attributes_of_a_table_cannot_be_set(name: str) -> None:
    table = PrototypeTable([0], [0], 1, 1)
    with pytest.raises(AttributeError):
        setattr(table, name, 7)


def test_table_survives_pickle_copy_and_configuration() -> None:
    UNEVEN.members("class")
    for twin in (
        pickle.loads(pickle.dumps(UNEVEN)),  # noqa: S301
        copy.deepcopy(UNEVEN),
        copy.copy(UNEVEN),
        PrototypeTable(**UNEVEN.to_config()),
    ):
        assert twin == UNEVEN
        assert torch.equal(twin.members("class").index, UNEVEN.members("class").index)


def test_moving_a_table_is_cached(device: torch.device) -> None:
    moved = UNEVEN.to(device)
    assert moved is UNEVEN.to(device)
    assert moved == UNEVEN
    assert hash(moved) == hash(UNEVEN)
    assert moved.to("cpu") == UNEVEN
    for tensor in (moved.class_index, moved.counts, moved.classes, moved.members("cell").mask):
        assert tensor.device.type == device.type


@settings(max_examples=30)
@given(st.data())
def test_keep_selects_and_keeps_the_order(data: st.DataObject) -> None:
    table = data.draw(tables())
    indices = data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1))
    kept = table.keep(data.draw(st.permutations(sorted(indices))))
    assert kept == rearranged(table, torch.tensor(sorted(indices)))


def test_keep_may_empty_a_class_and_a_scale() -> None:
    kept = PrototypeTable.regular(num_classes=2, num_scales=2, per_scale=1).keep([0])
    assert kept.counts.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 8], ValueError, r"from 0 to 8, expected 0 to 7"),
        ([-1], ValueError, r"from -1 to -1, expected 0 to 7"),
        ([1, 1], ValueError, r"twice"),
        ([], ValueError, r"\(0,\), expected a list of at least one"),
        ([0.5], TypeError, r"torch\.float32, expected whole numbers"),
        ([True] * 8, TypeError, r"torch\.bool, expected whole numbers"),
    ],
)
def test_keep_of_wrong_indices(indices: list[int], error: type[Exception], message: str) -> None:
    for keep in (UNEVEN.keep, MultiScalePrototypeLayer(UNEVEN, dim=2).keep):
        with pytest.raises(error, match=message):
            keep(indices)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 3], [0, 0], 3, 1), ValueError, r"class_index.*from 0 to 3, expected 0 to 2"),
        (([0, -1], [0, 0], 3, 1), ValueError, r"class_index.*from -1 to 0, expected 0 to 2"),
        (([0, 1], [0, 1], 3, 1), ValueError, r"scale_index.*from 0 to 1, expected 0 to 0"),
        (([0, 1], [0], 3, 1), ValueError, r"class_index has 2 entries and scale_index 1"),
        (([], [], 3, 1), ValueError, r"class_index has shape \(0,\).*at least one"),
        (([[0]], [[0]], 3, 1), ValueError, r"class_index has shape \(1, 1\)"),
        (([0.0], [0], 3, 1), TypeError, r"class_index holds torch\.float32.*whole numbers"),
        (([0], [False], 3, 1), TypeError, r"scale_index holds torch\.bool.*whole numbers"),
        (([0], [0], 0, 1), ValueError, r"num_classes is 0.*at least 1"),
        (([0], [0], 1, 1.5), ValueError, r"num_scales is 1\.5.*whole number"),
        (([0], [0], True, 1), ValueError, r"num_classes is True.*whole number"),
    ],
)
def test_indices_that_make_no_table(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PrototypeTable(*arguments)


def test_regular_table_without_prototypes() -> None:
    with pytest.raises(ValueError, match=r"per_scale is 0.*at least 1"):
        PrototypeTable.regular(2, 2, 0)


# --- the layer


def test_prototypes_start_uniform_between_0_and_1() -> None:
    prototypes = MultiScalePrototypeLayer(PrototypeTable.regular(10, 4, 3), dim=64).prototypes
    assert prototypes.shape == (120, 64)
    assert prototypes.min() >= 0
    assert prototypes.max() < 1
    assert torch.histc(prototypes.detach(), 4).div(prototypes.numel()) == pytest.approx(
        [0.25] * 4, abs=0.02
    )


@settings(max_examples=30)
@given(st.data())
def test_distances_and_activations_are_as_defined(data: st.DataObject) -> None:
    table = data.draw(tables())
    embedding = data.draw(embeddings(table, 4))
    layer = MultiScalePrototypeLayer(table, dim=4, epsilon=1e-3).double()
    out = layer(embedding)
    assert out.distances.shape == out.activations.shape == (2, len(table), 2, 3)
    for p, scale in enumerate(table.scale_index.tolist()):
        difference = embedding[:, scale] - layer.prototypes[p][:, None, None]
        distance = difference.square().sum(1)
        torch.testing.assert_close(out.distances[:, p], distance, rtol=0, atol=1e-12)
        activation = torch.log((distance + 1) / (distance + 1e-3))
        torch.testing.assert_close(out.activations[:, p], activation, rtol=0, atol=1e-8)


def test_released_epsilon_is_the_default() -> None:
    table = PrototypeTable([0], [0], 1, 1)
    layer = MultiScalePrototypeLayer(table, dim=2)
    hit = layer.activation(torch.zeros(1, dtype=torch.float64))
    assert float(hit) == pytest.approx(math.log(1e4))


@settings(max_examples=20)
@given(st.data())
def test_permuting_the_table_permutes_the_maps(data: st.DataObject) -> None:
    table = data.draw(tables())
    order = data.draw(permutations(table))
    embedding = data.draw(embeddings(table, 3))
    layer = MultiScalePrototypeLayer(table, dim=3).double()
    permuted = MultiScalePrototypeLayer(rearranged(table, order), dim=3).double()
    permuted.prototypes.data = layer.prototypes.data[order]
    for original, other in zip(layer(embedding), permuted(embedding), strict=True):
        torch.testing.assert_close(original[:, order], other, rtol=0, atol=1e-12)


@settings(max_examples=20)
@given(st.data())
def test_keep_selects_maps(data: st.DataObject) -> None:
    table = data.draw(tables())
    embedding = data.draw(embeddings(table, 3))
    indices = sorted(data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1)))
    layer = MultiScalePrototypeLayer(table, dim=3).double()
    before = layer(embedding)
    layer.keep(indices[::-1])
    assert layer.table == table.keep(indices)
    assert layer.prototypes.requires_grad
    for original, kept in zip(before, layer(embedding), strict=True):
        torch.testing.assert_close(original[:, indices], kept, rtol=0, atol=1e-12)


def test_keep_leaves_frozen_prototypes_frozen() -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=3)
    layer.prototypes.requires_grad_(False)
    layer.keep([1, 2])
    assert not layer.prototypes.requires_grad


@pytest.mark.parametrize("output", [0, 1])
def test_layer_gradients(output: int) -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=2).double()
    embedding = torch.rand(1, 4, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    prototypes = torch.rand(8, 2, dtype=torch.float64, requires_grad=True)

    def maps(embedding: Tensor, prototypes: Tensor) -> Tensor:
        return functional_call(layer, {"prototypes": prototypes}, embedding)[output]

    assert torch.autograd.gradcheck(maps, (embedding, prototypes))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("whole_layer", [False, True])
def test_exact_hit_survives_half_precision(
    dtype: torch.dtype, whole_layer: bool, device: torch.device
) -> None:
    layer = MultiScalePrototypeLayer(PrototypeTable([0, 0], [1, 1], 1, 2), dim=64).to(device)
    embedding = torch.rand(1, 2, 64, 2, 2, device=device).to(dtype)
    layer.prototypes.data[0] = embedding[0, 1, :, 1, 0].float()
    if whole_layer:
        layer.to(dtype)
    with torch.autocast(device.type, dtype=dtype):
        out = layer(embedding)
    assert out.distances.dtype == out.activations.dtype == torch.float32
    assert out.activations[0, 0, 1, 0].item() == pytest.approx(math.log(1e4), abs=0.2)
    assert (out.activations[0, 1] < 1).all()
    out.activations.sum().backward()
    assert layer.prototypes.grad.isfinite().all()


def test_distances_are_never_negative_and_gradients_finite_at_a_hit() -> None:
    layer = MultiScalePrototypeLayer(PrototypeTable.regular(50, 1, 1), dim=16)
    vectors = layer.prototypes.detach().T.reshape(1, 1, 16, 5, 10)
    out = layer(vectors)
    assert out.distances.min() >= 0
    assert out.activations.max() <= math.log(1e4) + 1e-6
    out.activations.sum().backward()
    assert layer.prototypes.grad.isfinite().all()


def test_only_a_bounded_layer_is_clamped() -> None:
    outside = torch.tensor([[-0.5, 0.5, 1.5]])
    table = PrototypeTable([0], [0], 1, 1)
    for bounded, expected in ((True, [[0, 0.5, 1]]), (False, outside.tolist())):
        layer = MultiScalePrototypeLayer(table, dim=3, bounded=bounded)
        layer.prototypes.data.copy_(outside)
        layer.clamp_()
        assert layer.prototypes.tolist() == expected


def test_layer_state_is_the_prototypes_alone() -> None:
    layer, twin = (MultiScalePrototypeLayer(UNEVEN, dim=3) for _ in range(2))
    state = layer.state_dict()
    assert list(state) == ["prototypes"]
    twin.load_state_dict(state)
    embedding = torch.rand(1, 4, 3, 2, 2)
    assert torch.equal(twin(embedding).distances, layer(embedding).distances)
    assert torch.equal(copy.deepcopy(layer)(embedding).distances, layer(embedding).distances)


@pytest.mark.parametrize(
    "shape", [(1, 3, 6, 2, 2), (1, 4, 5, 2, 2), (1, 4, 6, 2), (1, 24, 2, 2), (4, 6, 2, 2)]
)
def test_embedding_that_does_not_fit_the_table(shape: tuple[int, ...]) -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=6)
    message = r"{}.*\(batch, 4 scales, 6 channels, height, width\)"
    came = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=message.format(came)):
        layer(torch.rand(shape))


@pytest.mark.parametrize("epsilon", [0, 1, -1e-4])
def test_epsilon_out_of_range(epsilon: float) -> None:
    with pytest.raises(ValueError, match=rf"epsilon is {epsilon}.*\(0, 1\)"):
        MultiScalePrototypeLayer(UNEVEN, dim=2, epsilon=epsilon)


def test_dim_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"dim is 0.*at least 1"):
        MultiScalePrototypeLayer(UNEVEN, dim=0)
