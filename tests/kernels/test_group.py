import copy
import pickle
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call

from benchmarks.speed.measure import peak_memory
from protoxai import PrototypeTable, SparseGroupHead
from protoxai.kernels.group import group_sums, weighted_sums
from tests.cases import UNEVEN, maps_of, set_of, tables
from tests.kernels.tilings import ANY_TILES, SOME_TILES, Tiles

REGULAR = PrototypeTable.regular(num_classes=2, num_scales=1, per_scale=2)


def rows_of(table: PrototypeTable) -> tuple[Tensor, Tensor]:
    """The prototypes of each class that has any, and where they are no padding."""
    numbers, mask = table.members("class")
    return numbers[table.classes], mask[table.classes]


def plainly(activations: Tensor, weights: Tensor, table: PrototypeTable) -> Tensor:
    """The sums by their definition, one group after the other."""
    rows = []
    for group_weights, class_index in zip(weights, table.classes.tolist(), strict=True):
        own = activations[:, set_of(table, class_index)]
        sums = [(group[: own.shape[1], None] * own).sum(1) for group in group_weights]
        rows.append(torch.stack(sums, 1))
    return torch.stack(rows, 1)


def inputs(table: PrototypeTable, groups: int = 2, batch: int = 2, pixels: int = 3) -> list[Tensor]:
    """Activations and weights in float64 that want gradients."""
    _, mask = rows_of(table)
    activations = torch.rand(batch, len(table), pixels, dtype=torch.float64)
    weights = torch.rand(len(mask), groups, mask.shape[1], dtype=torch.float64) * mask[:, None]
    return [activations.requires_grad_(), weights.detach().requires_grad_()]


def summed(activations: Tensor, weights: Tensor, table: PrototypeTable) -> Tensor:
    """The sums, with padded weights that are 0 whatever is given."""
    members, mask = rows_of(table)
    return group_sums(activations, weights.masked_fill(~mask[:, None], 0), members, mask)


# --- the same as the definition


@settings(max_examples=100)
@given(st.data())
def test_values_and_gradients_are_those_of_the_definition(data: st.DataObject) -> None:
    table = data.draw(tables())
    batch, pixels, groups = (data.draw(st.integers(1, most)) for most in (3, 7, 3))
    members, mask = rows_of(table)
    activations = data.draw(maps_of(batch, len(table), pixels))
    weights = data.draw(maps_of(len(members), groups, members.shape[1]))
    weights = weights.masked_fill(~mask[:, None], 0)
    wanted = data.draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    for tensor, want in zip((activations, weights), wanted, strict=True):
        tensor.requires_grad_(want)
    sources = [tensor for tensor in (activations, weights) if tensor.requires_grad]
    incoming = data.draw(maps_of(batch, len(members), groups, pixels))

    def gradients(sums: Tensor, create_graph: bool = False) -> list[Tensor]:
        slopes = torch.autograd.grad(sums, sources, incoming, True, create_graph)
        # A gradient of padding means nothing.
        padding = ~mask[:, None]
        return [
            slope.masked_fill(padding, 0) if source is weights else slope
            for source, slope in zip(sources, slopes, strict=True)
        ]

    expected = plainly(activations, weights, table)
    with data.draw(ANY_TILES).used():
        found = group_sums(activations, weights, members, mask)
        slopes, again = gradients(found), gradients(found, create_graph=True)
    in_one_piece = weighted_sums(activations, weights, members)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(in_one_piece, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slopes, gradients(expected), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(again, slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tiles", SOME_TILES)
@pytest.mark.parametrize("table", [UNEVEN, REGULAR])
def test_gradients_and_theirs_are_finite_differences(table: PrototypeTable, tiles: Tiles) -> None:
    with tiles.used():
        at = inputs(table)
        assert torch.autograd.gradcheck(lambda *at: summed(*at, table), at)
        at = inputs(table, groups=1, batch=2, pixels=2)
        assert torch.autograd.gradgradcheck(lambda *at: summed(*at, table), at)


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_gradients_of_gradients_by_one_input_alone(wanted: tuple[bool, bool]) -> None:
    at = [x.requires_grad_(want) for x, want in zip(inputs(UNEVEN, 1), wanted, strict=True)]
    # The sums are linear in each: their gradient by it depends on the other one alone.
    assert torch.autograd.gradgradcheck(lambda *at: summed(*at, UNEVEN).exp(), at)


# --- tiles


@pytest.mark.parametrize("tiles", SOME_TILES[1:])
def test_tiles_do_not_change_the_head(tiles: Tiles, device: torch.device) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).to(device)
    activations = torch.rand(3, 8, 3, 7, device=device)
    results = []
    for each in (Tiles(), tiles):
        leaf = activations.clone().requires_grad_()
        head.zero_grad()
        with each.used():
            logits = head(leaf)
            logits.square().sum().backward()
        results.append((logits, leaf.grad, head.group_parameter.grad.clone(), head.weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["channels last", "expanded", "strided"])
def test_layout_in_memory_does_not_matter(layout: str) -> None:
    activations, weights = (x.detach() for x in inputs(UNEVEN, batch=2, pixels=6))
    if layout == "channels last":
        given = activations.transpose(1, 2).contiguous().transpose(1, 2)
        rows = weights.transpose(1, 2).contiguous().transpose(1, 2)
    elif layout == "expanded":
        activations, weights = activations[:1].expand(2, -1, -1), weights[:, :1].expand(-1, 2, -1)
        given, rows = activations, weights
    else:
        given = activations.repeat_interleave(2, 2)[..., ::2]
        rows = weights.repeat_interleave(2, 2)[..., ::2]
    assert not given.is_contiguous()
    assert not rows.is_contiguous()
    results = []
    for at in ((activations.contiguous(), weights.contiguous()), (given, rows)):
        leaves = [x.detach().requires_grad_() for x in at]
        with Tiles(4, 3).used():
            sums = summed(*leaves, UNEVEN)
            # The gradient that comes in is not contiguous either.
            slopes = torch.autograd.grad(sums.sum(), leaves)
        results.append((sums, *slopes))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("tiles", SOME_TILES)
def test_nothing_to_sum(tiles: Tiles) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2)
    for shape in ((0, 8, 2, 3), (2, 8, 0, 3)):
        head.zero_grad()
        activations = torch.rand(shape, requires_grad=True)
        with tiles.used():
            scores = head.scores(activations)
            scores.sum().backward()
        assert scores.shape == (shape[0], 6, *shape[2:])
        assert activations.grad.shape == shape
        assert (head.group_parameter.grad == 0).all()


# --- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("create_graph", [False, True])
def test_autocast_changes_nothing_on_either_way(
    dtype: torch.dtype, create_graph: bool, device: torch.device
) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).to(device)
    activations = (torch.rand(2, 8, 3, 5, device=device) * 9).requires_grad_()
    results = []
    for forward, backward in product((False, True), repeat=2):
        with torch.autocast(device.type, dtype=dtype, enabled=forward):
            scores = head.scores(activations)
        loss = scores.square().sum()
        with torch.autocast(device.type, dtype=dtype, enabled=backward):
            slopes = torch.autograd.grad(
                loss, (activations, head.group_parameter), create_graph=create_graph
            )
        results.append((scores, *slopes))
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            assert other.dtype == torch.float32
            assert torch.equal(one, other)


# --- the head


def test_head_with_other_weights() -> None:
    head, other = (SparseGroupHead(UNEVEN, num_groups=2) for _ in range(2))
    activations = torch.rand(2, 8, 2, 3)
    called = functional_call(head, dict(other.named_parameters()), activations)
    assert torch.equal(called, other(activations))
    (slope,) = torch.autograd.grad(called.sum(), other.group_parameter)
    assert (slope != 0).any()


@pytest.mark.parametrize("kept", [None, [0, 2, 3, 7]])
def test_copies_of_a_head(kept: list[int] | None, device: torch.device) -> None:
    head = SparseGroupHead(UNEVEN, num_groups=2).to(device)
    if kept is not None:
        head.keep(kept)
    activations = torch.rand(2, len(head.table), 2, 3, device=device)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):  # noqa: S301
        assert twin.table == head.table
        assert twin.group_parameter is not head.group_parameter
        assert torch.equal(twin(activations), head(activations))
        assert torch.equal(twin.group_weights(), head.group_weights())


# --- memory


@pytest.mark.parametrize("per_scale", [[12], [1, 40]])
def test_the_activations_are_never_brought_together(per_scale: list[int]) -> None:
    counts = torch.tensor(per_scale * (960 // sum(per_scale)))
    classes = torch.arange(len(counts)).repeat_interleave(counts)
    classes = classes[torch.randperm(len(classes))]
    table = PrototypeTable(classes, classes * 0, len(counts), 1)
    members, mask = rows_of(table)
    activations = torch.rand(2, len(table), 64 * 64, requires_grad=True)
    weights = (torch.rand(*mask.shape) * mask)[:, None].requires_grad_()
    size = activations.nbytes
    sums = group_sums(activations, weights, members, mask)
    forward = peak_memory(lambda: group_sums(activations, weights, members, mask))
    assert forward < sums.nbytes + 0.2 * size
    incoming = torch.rand_like(sums)

    def backward() -> None:
        torch.autograd.grad(sums, (activations, weights), incoming, retain_graph=True)

    # Beside the gradient a few tiles, not the activations once more.
    assert peak_memory(backward) < 1.4 * size
