import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from protoxai import MultiScalePrototypeLayer, PrototypeTable
from tests.cases import UNEVEN, maps_of, permutations, rearranged, tables


def embeddings(table: PrototypeTable, dim: int) -> st.SearchStrategy[Tensor]:
    return maps_of(2, table.num_scales, dim, 2, 3).map(torch.sigmoid)


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


def test_keep_of_wrong_indices() -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=2)
    with pytest.raises(ValueError, match=r"from 0 to 8, expected 0 to 7"):
        layer.keep([0, 8])
    assert len(layer.prototypes) == 8


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
    pixels = 24
    table = PrototypeTable([0] * pixels, [1] * pixels, num_classes=1, num_scales=2)
    layer = MultiScalePrototypeLayer(table, dim=64).to(device)
    embedding = torch.rand(1, 2, 64, 4, 6, device=device).to(dtype)
    layer.prototypes.data.copy_(embedding[0, 1].flatten(1).T)
    if whole_layer:
        layer.to(dtype)
    with torch.autocast(device.type, dtype=dtype):
        out = layer(embedding)
    assert out.distances.dtype == out.activations.dtype == torch.float32
    activations = out.activations[0].flatten(1).detach()
    hits = torch.eye(pixels, dtype=torch.bool, device=device)
    torch.testing.assert_close(
        activations[hits], torch.full_like(activations[hits], math.log(1e4)), rtol=0, atol=0.2
    )
    assert (activations[~hits] < 1).all()
    assert torch.equal(out.distances, layer.float()(embedding.float()).distances)
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
    message = r"{}.*\(batch, scales=4, channels=6, height, width\)"
    came = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=message.format(came)):
        layer(torch.rand(shape))


@pytest.mark.parametrize("epsilon", [0, 1, -1e-4])
def test_epsilon_out_of_range(epsilon: float) -> None:
    with pytest.raises(ValueError, match=rf"epsilon is {epsilon}.*above 0 and below 1"):
        MultiScalePrototypeLayer(UNEVEN, dim=2, epsilon=epsilon)


def test_dim_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"dim is 0.*from 1 to"):
        MultiScalePrototypeLayer(UNEVEN, dim=0)


def test_layer_with_other_prototypes() -> None:
    layer, other = (MultiScalePrototypeLayer(UNEVEN, dim=3) for _ in range(2))
    embedding = torch.rand(2, 4, 3, 2, 3)
    called = functional_call(layer, {"prototypes": other.prototypes}, embedding)
    assert torch.equal(called.activations, other(embedding).activations)
    (slope,) = torch.autograd.grad(called.activations.sum(), other.prototypes)
    assert (slope != 0).any()


@pytest.mark.parametrize("kept", [None, [0, 2, 3, 7]])
@pytest.mark.parametrize("table", [UNEVEN, PrototypeTable.regular(2, 4, 1)])
def test_copies_of_a_layer(
    table: PrototypeTable, kept: list[int] | None, device: torch.device
) -> None:
    layer = MultiScalePrototypeLayer(table, dim=3).to(device)
    if kept is not None:
        layer.keep(kept)
    embedding = torch.rand(2, 4, 3, 2, 3, device=device)
    expected = layer(embedding)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301
        assert twin.table == layer.table
        assert twin.prototypes is not layer.prototypes
        torch.testing.assert_close(twin(embedding), expected, rtol=0, atol=0)
