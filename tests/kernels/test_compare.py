import copy
import math
from itertools import compress, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.speed.measure import peak_memory
from protoxai import MultiScalePrototypeLayer, PrototypeTable
from protoxai.kernels.compare import compare
from protoxai.kernels.reference import (
    Rows,
    activate,
    activation,
    against_squares,
    squared_distances,
    with_squares,
)
from tests.cases import UNEVEN, maps_of, tables
from tests.kernels.tilings import ANY_TILES, SOME_TILES, Tiles

EPSILON = 1e-2
REGULAR = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)
FEW = PrototypeTable([1, 0, 0, 2], [0, 2, 0, 0], num_classes=3, num_scales=3)
HIT = math.log(1e4)


def rows_of(table: PrototypeTable, indexed: bool) -> list[Rows]:
    """The prototypes of each scale; as slices where they are consecutive, unless `indexed`."""
    rows: list[Rows] = []
    for scale in range(table.num_scales):
        numbers = (table.scale_index == scale).nonzero().flatten()
        start = int(numbers[0]) if len(numbers) else 0
        consecutive = numbers.tolist() == list(range(start, start + len(numbers)))
        rows.append(slice(start, start + len(numbers)) if consecutive and not indexed else numbers)
    return rows


def plainly(embedding: Tensor, prototypes: Tensor, table: PrototypeTable) -> tuple[Tensor, Tensor]:
    """Distances and activations by their definition, one prototype after the other."""
    distances = torch.stack(
        [
            (embedding[:, scale] - prototypes[p][:, None]).square().sum(1)
            for p, scale in enumerate(table.scale_index.tolist())
        ],
        1,
    )
    return distances, torch.log((distances + 1) / (distances + EPSILON))


def inputs(table: PrototypeTable, dim: int = 2, batch: int = 2, pixels: int = 3) -> list[Tensor]:
    """An embedding and prototypes in float64 that want gradients."""
    shapes = [(batch, table.num_scales, dim, pixels), (len(table), dim)]
    return [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def compared(embedding: Tensor, prototypes: Tensor, table: PrototypeTable) -> tuple[Tensor, Tensor]:
    return compare(embedding, prototypes, rows_of(table, indexed=False), EPSILON)


# --- the same as the definition


@settings(max_examples=100)
@given(st.data())
def test_values_and_gradients_are_those_of_the_definition(data: st.DataObject) -> None:
    table, indexed = data.draw(tables()), data.draw(st.booleans())
    batch, pixels, dim = (data.draw(st.integers(1, most)) for most in (3, 7, 4))
    embedding = data.draw(maps_of(batch, table.num_scales, dim, pixels)).sigmoid()
    prototypes = data.draw(maps_of(len(table), dim)).sigmoid()
    # At least one input wants a gradient, and at least one output gives one.
    some = st.sampled_from([(True, True), (True, False), (False, True)])
    wanted, used = data.draw(some), data.draw(some)
    for tensor, want in zip((embedding, prototypes), wanted, strict=True):
        tensor.requires_grad_(want)
    sources = [tensor for tensor in (embedding, prototypes) if tensor.requires_grad]
    incoming = data.draw(maps_of(2, batch, len(table), pixels))

    def gradients(outputs: tuple[Tensor, Tensor], create_graph: bool = False) -> list[Tensor]:
        outs, grads = (list(compress(each, used)) for each in (outputs, incoming))
        return list(torch.autograd.grad(outs, sources, grads, True, create_graph))

    rows = rows_of(table, indexed)
    expected = plainly(embedding, prototypes, table)
    with data.draw(ANY_TILES).used():
        found = compare(embedding, prototypes, rows, EPSILON)
        slopes, again = gradients(found), gradients(found, create_graph=True)
    in_one_piece = squared_distances(embedding, prototypes, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(in_one_piece, expected[0], rtol=0, atol=1e-11)
    # At a distance near 0 the activation is as steep as 1 / EPSILON.
    torch.testing.assert_close(slopes, gradients(expected), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(again, slopes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("tiles", SOME_TILES)
@pytest.mark.parametrize("table", [UNEVEN, REGULAR])
def test_gradients_are_finite_differences(table: PrototypeTable, tiles: Tiles) -> None:
    with tiles.used():
        assert torch.autograd.gradcheck(lambda *at: compared(*at, table), inputs(table))


@pytest.mark.parametrize("tiles", SOME_TILES)
@pytest.mark.parametrize("table", [FEW, REGULAR])
@pytest.mark.parametrize("outputs", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_gradients_of_gradients_are_finite_differences(
    outputs: slice, table: PrototypeTable, tiles: Tiles
) -> None:
    with tiles.used():
        assert torch.autograd.gradgradcheck(
            lambda *at: compared(*at, table)[outputs], inputs(table, batch=2, pixels=3, dim=1)
        )


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_gradients_of_gradients_by_one_input_alone(wanted: tuple[bool, bool]) -> None:
    at = [x.requires_grad_(want) for x, want in zip(inputs(FEW, dim=1), wanted, strict=True)]
    assert torch.autograd.gradgradcheck(lambda *at: compared(*at, FEW), at)


def test_gradient_that_nothing_hands_down() -> None:
    class Dropped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> None:
            return None

    at = inputs(FEW)
    for create_graph in (False, True):
        loss = Dropped.apply(compared(*at, FEW)[1]).sum() + sum(x.sum() for x in at)
        for gradient in torch.autograd.grad(loss, at, create_graph=create_graph):
            assert (gradient == 1).all()


# --- tiles


@pytest.mark.parametrize("tiles", SOME_TILES[1:])
def test_tiles_do_not_change_the_layer(tiles: Tiles, device: torch.device) -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=5).to(device)
    embedding = torch.rand(3, 4, 5, 3, 7, device=device)
    results = []
    for each in (Tiles(), tiles):
        leaf = embedding.clone().requires_grad_()
        layer.zero_grad()
        with each.used():
            maps = layer(leaf)
            (maps.distances.sum() + maps.activations.square().mean()).backward()
        results.append((*maps, leaf.grad, layer.prototypes.grad.clone()))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["channels last", "expanded", "strided"])
def test_layout_in_memory_does_not_matter(layout: str) -> None:
    embedding, prototypes = (x.detach() for x in inputs(UNEVEN, dim=3, batch=2, pixels=6))
    if layout == "channels last":
        given = embedding.transpose(2, 3).contiguous().transpose(2, 3)
        rows = prototypes.T.contiguous().T
    elif layout == "expanded":
        embedding = embedding[:1].expand(2, -1, -1, -1)
        prototypes = prototypes[:1].expand(8, -1)
        given, rows = embedding, prototypes
    else:
        given = embedding.repeat_interleave(2, 3)[..., ::2]
        rows = prototypes.repeat_interleave(2, 1)[:, ::2]
    assert not given.is_contiguous()
    assert not rows.is_contiguous()
    results = []
    for at in ((embedding.contiguous(), prototypes.contiguous()), (given, rows)):
        leaves = [x.detach().requires_grad_() for x in at]
        with Tiles(4, 3).used():
            maps = compared(*leaves, UNEVEN)
            # The gradient that comes in is not contiguous either.
            slopes = torch.autograd.grad((maps[0] * maps[1]).sum() + maps[1].sum(), leaves)
        results.append((*maps, *slopes))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("tiles", SOME_TILES)
def test_nothing_to_compare(tiles: Tiles) -> None:
    for batch, pixels in ((0, 3), (2, 0)):
        at = inputs(UNEVEN, batch=batch, pixels=pixels)
        with tiles.used():
            maps = compared(*at, UNEVEN)
            (maps[0].sum() + maps[1].sum()).backward()
        assert maps[0].shape == maps[1].shape == (batch, 8, pixels)
        assert at[0].grad.shape == at[0].shape
        assert (at[1].grad == 0).all()


# --- hits


@pytest.mark.parametrize("spread", [1, 8])
@pytest.mark.parametrize("tiles", [Tiles(), Tiles(50, 30), Tiles(elements=9000)])
def test_exact_hits_in_float32(tiles: Tiles, spread: int, device: torch.device) -> None:
    pixels = 300
    embedding = (torch.randn(1, 1, 64, pixels, device=device) * spread).sigmoid()
    prototypes = embedding[0, 0].T.contiguous()
    with tiles.used():
        distances, activations = compare(embedding, prototypes, [slice(0, pixels)], 1e-4)
    assert distances.min() >= 0
    assert distances[0].diagonal().max() < 1e-5
    assert (activations[0].diagonal() - HIT).abs().max() < 0.01 * HIT
    others = ~torch.eye(pixels, dtype=torch.bool, device=device)
    assert distances[0][others].min() > 0.1


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_gradient_where_rounding_makes_a_distance_0(
    create_graph: bool, device: torch.device
) -> None:
    embedding = torch.rand(1, 1, 64, 200, device=device)
    # So near that rounding decides on which side of 0 a distance comes out.
    hits = embedding[0, 0].T + 1e-5 * torch.randn(200, 64, device=device)
    rounded = []
    for pixel in range(200):
        at = [embedding[..., [pixel]], hits[[pixel]]]
        for tensor in at:
            tensor.requires_grad_()
        distance, activations = compare(*at, [slice(0, 1)], 1e-4)
        slopes = torch.autograd.grad(activations, at, create_graph=create_graph)
        if create_graph:
            # What is differentiated is computed afresh.
            distance = squared_distances(*at, [slice(0, 1)])
        rounded.append(distance.item() == 0)
        for slope in slopes:
            assert (slope == 0).all() == rounded[-1]
    assert 20 < sum(rounded) < 180


# --- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("create_graph", [False, True])
def test_autocast_changes_nothing_on_either_way(
    dtype: torch.dtype, create_graph: bool, device: torch.device
) -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=16).to(device)
    embedding = torch.rand(2, 4, 16, 3, 5, device=device, requires_grad=True)
    results = []
    for forward, backward in product((False, True), repeat=2):
        with torch.autocast(device.type, dtype=dtype, enabled=forward):
            maps = layer(embedding)
        loss = maps.distances.square().sum() + maps.activations.sum()
        with torch.autocast(device.type, dtype=dtype, enabled=backward):
            slopes = torch.autograd.grad(
                loss, (embedding, layer.prototypes), create_graph=create_graph
            )
        results.append((*maps, *slopes))
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            assert other.dtype == torch.float32
            assert torch.equal(one, other)


def test_embedding_of_half_precision_has_a_gradient_of_its_type(device: torch.device) -> None:
    layer = MultiScalePrototypeLayer(UNEVEN, dim=4).to(device, torch.bfloat16)
    embedding = torch.rand(1, 4, 4, 2, 2, device=device).bfloat16().requires_grad_()
    layer(embedding).activations.sum().backward()
    assert embedding.grad.dtype == layer.prototypes.grad.dtype == torch.bfloat16
    twin = copy.deepcopy(layer).float()
    twin.zero_grad()
    leaf = embedding.detach().float().requires_grad_()
    twin(leaf).activations.sum().backward()
    torch.testing.assert_close(embedding.grad, leaf.grad.bfloat16())
    torch.testing.assert_close(layer.prototypes.grad, twin.prototypes.grad.bfloat16())


# --- memory


@pytest.mark.parametrize("regular", [True, False])
def test_only_the_results_are_as_large_as_the_maps(regular: bool) -> None:
    table = PrototypeTable.regular(num_classes=100, num_scales=3, per_scale=4)
    if not regular:
        order = torch.randperm(len(table))
        table = PrototypeTable(table.class_index[order], table.scale_index[order], 100, 3)
    layer = MultiScalePrototypeLayer(table, dim=4)
    embedding = torch.rand(2, 3, 4, 64, 64, requires_grad=True)
    one_map = 2 * len(table) * 64 * 64 * 4
    maps = layer(embedding)
    assert peak_memory(lambda: layer(embedding)) < 2.3 * one_map
    incoming = [torch.rand_like(each) for each in maps]

    def backward() -> None:
        torch.autograd.grad(maps, (embedding, layer.prototypes), incoming, retain_graph=True)

    assert peak_memory(backward) < 0.3 * one_map


# --- parts


@settings(max_examples=20)
@given(st.data())
def test_squares_make_a_product_a_distance(data: st.DataObject) -> None:
    vectors, prototypes = data.draw(maps_of(2, 3, 5)), data.draw(maps_of(4, 3))
    product_ = against_squares(prototypes) @ with_squares(vectors)
    expected = (vectors[:, None] - prototypes[None, :, :, None]).square().sum(2)
    torch.testing.assert_close(product_, expected, rtol=0, atol=1e-10)


def test_activation_written_elsewhere_is_the_activation() -> None:
    distances = torch.tensor([[0, 1e-8, 1e-4, 0.1, 1, 50]], dtype=torch.float64).expand(2, -1)
    found = torch.full((2, 12), torch.nan, dtype=torch.float64)
    activate(distances, 1e-4, out=found[:, ::2])
    torch.testing.assert_close(found[:, ::2], activation(distances, 1e-4), rtol=1e-9, atol=1e-12)
    assert found[:, 1::2].isnan().all()
    for dtype in (torch.float32, torch.float64):
        hit = torch.empty(1, dtype=dtype)
        activate(torch.zeros(1, dtype=dtype), 1e-4, out=hit)
        torch.testing.assert_close(hit, torch.full_like(hit, HIT))
