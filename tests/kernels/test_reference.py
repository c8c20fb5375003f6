"""The formulas against their definitions, one prototype, group or class after the other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai import MultiScalePrototypeLayer, PrototypeTable, SparseGroupHead
from protoxai.kernels import reference
from tests.cases import UNEVEN, maps_of, set_of, tables

EPSILON = 1e-2
HIT = math.log(1e4)


def rows_of(table: PrototypeTable) -> tuple[list[Tensor], Tensor | None]:
    """The rows of each scale and their order, as the layer plans them."""
    layer = MultiScalePrototypeLayer(table, dim=1)
    return layer._scale_rows(), layer._order


def compared(embedding: Tensor, prototypes: Tensor, table: PrototypeTable) -> tuple[Tensor, Tensor]:
    return reference.compare(embedding, prototypes, EPSILON, *rows_of(table))


def members_of(table: PrototypeTable) -> tuple[Tensor, Tensor]:
    members, mask = table.members("class")
    return members[table.classes], mask[table.classes]


@settings(max_examples=50)
@given(st.data())
def test_distances_and_activations(data: st.DataObject) -> None:
    table = data.draw(tables())
    batch, height, width, dim = (data.draw(st.integers(1, most)) for most in (3, 2, 3, 4))
    embedding = data.draw(maps_of(batch, table.num_scales, dim, height, width)).sigmoid()
    prototypes = data.draw(maps_of(len(table), dim)).sigmoid()
    at = [x.requires_grad_() for x in (embedding, prototypes)]
    incoming = data.draw(maps_of(2, batch, len(table), height, width))
    distances = torch.stack(
        [
            (embedding[:, scale] - prototypes[p][:, None, None]).square().sum(1)
            for p, scale in enumerate(table.scale_index.tolist())
        ],
        1,
    )
    expected = distances, torch.log((distances + 1) / (distances + EPSILON))
    found = compared(*at, table)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    slopes = [
        torch.autograd.grad(maps, at, list(incoming), retain_graph=True)
        for maps in (found, expected)
    ]
    # Near distance 0 the activation is as steep as 1 / EPSILON.
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "table",
    [
        UNEVEN,
        PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2),
        PrototypeTable([1, 0, 0, 2], [0, 2, 0, 0], num_classes=3, num_scales=3),
    ],
)
def test_gradients_and_theirs_are_finite_differences(table: PrototypeTable) -> None:
    shapes = [(2, table.num_scales, 2, 1, 3), (len(table), 2)]
    at = [torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *at: compared(*at, table), at)
    assert torch.autograd.gradgradcheck(lambda *at: compared(*at, table), at)


@settings(max_examples=50)
@given(st.data())
def test_group_scores(data: st.DataObject) -> None:
    table = data.draw(tables())
    members, mask = members_of(table)
    batch, width, groups = (data.draw(st.integers(1, most)) for most in (3, 5, 3))
    activations = data.draw(maps_of(batch, len(table), 2, width)).requires_grad_()
    weights = data.draw(maps_of(len(members), groups, members.shape[1])) / 10
    weights = weights.masked_fill(~mask[:, None], 0).requires_grad_()
    expected = []
    for own_weights, class_index in zip(weights, table.classes.tolist(), strict=True):
        own = activations[:, set_of(table, class_index)]
        for group in own_weights:
            expected.append((group[: own.shape[1], None, None] * own).sum(1).exp())
    found = reference.group_scores(activations, weights, members)
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=1e-12, atol=1e-12)
    incoming = data.draw(maps_of(*found.shape))
    slopes = [
        torch.autograd.grad(scores, (activations, weights), incoming)
        for scores in (found, torch.stack(expected, 1))
    ]
    for slope in slopes:
        slope[1].masked_fill_(~mask[:, None], 0)
    torch.testing.assert_close(*slopes, rtol=1e-11, atol=1e-11)


@settings(max_examples=30)
@given(st.data())
def test_logits(data: st.DataObject) -> None:
    table = data.draw(tables())
    units = data.draw(maps_of(2, len(table), 2, 3))
    dense = data.draw(maps_of(table.num_classes, len(table)))
    expected = torch.stack([(row[:, None, None] * units).sum(1) for row in dense], 1)
    torch.testing.assert_close(reference.class_logits(units, dense), expected)
    tied = data.draw(maps_of(2, len(table)))
    own = table.class_index == torch.arange(table.num_classes)[:, None]
    twin = torch.where(own, tied[0], tied[1])
    found = reference.tied_class_logits(units, tied, table.class_index, table.num_classes)
    torch.testing.assert_close(found, reference.class_logits(units, twin), rtol=0, atol=1e-12)


def test_tied_logits_have_the_gradient_of_the_dense_ones() -> None:
    units = torch.rand(2, 8, 2, 3, dtype=torch.float64, requires_grad=True)
    tied = torch.rand(2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda units, tied: reference.tied_class_logits(units, tied, UNEVEN.class_index, 5),
        (units, tied),
    )


@pytest.mark.parametrize("spread", [1, 8])
def test_exact_hits_in_float32(spread: int, device: torch.device) -> None:
    pixels = 300
    vectors = (torch.randn(1, 64, 1, pixels, device=device) * spread).sigmoid()
    distances = reference.squared_distances(vectors, vectors[0, :, 0].T)[0, :, 0]
    activations = reference.activation(distances, 1e-4)
    assert distances.min() >= 0
    assert distances.diagonal().max() < 1e-5
    assert (activations.diagonal() - HIT).abs().max() < 0.01 * HIT
    others = ~torch.eye(pixels, dtype=torch.bool, device=device)
    assert distances[others].min() > 0.1


def test_no_gradient_where_rounding_makes_a_distance_0(device: torch.device) -> None:
    vectors = torch.rand(1, 64, 1, 200, device=device)
    # So near that rounding decides on which side of 0 a distance comes out.
    hits = vectors[0, :, 0].T + 1e-5 * torch.randn(200, 64, device=device)
    rounded = []
    for pixel in range(200):
        at = [vectors[..., [pixel]].requires_grad_(), hits[[pixel]].requires_grad_()]
        distance = reference.squared_distances(*at)
        rounded.append(distance.item() == 0)
        for slope in torch.autograd.grad(reference.activation(distance, 1e-4).sum(), at):
            assert (slope == 0).all() == rounded[-1]
    assert 20 < sum(rounded) < 180


@settings(max_examples=20)
@given(st.data())
def test_distances_by_differences(data: st.DataObject) -> None:
    vectors, prototypes = data.draw(maps_of(2, 3, 4, 5)), data.draw(maps_of(6, 3))
    expected = reference.squared_distances(vectors, prototypes)
    found = reference.exact_squared_distances(
        vectors.movedim(1, -1)[:, None], prototypes[:, None, None]
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_activation_at_its_ends() -> None:
    found = reference.activation(torch.tensor([0.0, 1e12], dtype=torch.float64), 1e-4)
    assert found.tolist() == pytest.approx([HIT, 0], abs=1e-11)


def test_a_group_with_a_single_prototype_has_its_activation() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=1).double()
    dense = torch.zeros(3, 8, dtype=torch.float64)
    dense[[0, 1, 2], [4, 7, 3]] = 1
    head.set_group_weights(dense)
    activations = torch.rand(1, 8, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(head.scores(activations), activations[:, [4, 7, 3]].exp())
