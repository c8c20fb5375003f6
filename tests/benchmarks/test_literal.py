"""The literal formulation and the library agree: values, gradients and nearest patches."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from benchmarks.speed import cases, literal
from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeSearch,
    PrototypeTable,
    SparseGroupHead,
)
from protoxai.losses import (
    group_cross_entropy_loss,
    group_diversity_loss,
    group_entropy_loss,
    prototype_diversity_loss,
    sample_entropy_loss,
    scale_max_loss,
    spatial_entropy_loss,
)

DIM, SIZE = 5, (6, 7)
REGULAR = PrototypeTable.regular(num_classes=4, num_scales=3, per_scale=3)
# Class 3 has no prototype, class 2 a single one, class 1 none at the last scale.
UNEVEN = REGULAR.keep([0, 1, 2, 3, 4, 6, 12, 13, 15, 16, 17, 24, 25])


@pytest.fixture(params=[REGULAR, UNEVEN], ids=["regular", "uneven"])
def table(request: pytest.FixtureRequest) -> PrototypeTable:
    return request.param


@pytest.fixture
def labels() -> Tensor:
    labels = torch.randint(0, 4, (3, *SIZE))
    labels[0, :2] = 255
    labels[1] = 0
    labels[1, 0, 0] = 1
    return labels


@pytest.fixture
def layer(table: PrototypeTable) -> MultiScalePrototypeLayer:
    return MultiScalePrototypeLayer(table, DIM).double()


@pytest.fixture
def head(table: PrototypeTable) -> SparseGroupHead:
    head = SparseGroupHead(table, num_groups=3).double()
    head.weight.data += 0.1 * torch.randn_like(head.weight)
    return head


@pytest.fixture
def embedding() -> Tensor:
    return torch.rand(3, 3, DIM, *SIZE, dtype=torch.float64, requires_grad=True)


def assert_same(
    ours: Tensor, literally: Tensor, leaves: Sequence[Tensor], others: Sequence[Tensor]
) -> None:
    """Compare values, and the gradients of a random sum of them."""
    exact = {"rtol": 1e-6, "atol": 1e-9}
    torch.testing.assert_close(ours, literally, **exact)
    direction = torch.randn_like(ours)
    gradients = torch.autograd.grad(ours, leaves, direction)
    assert any(gradient.any() for gradient in gradients)
    for one, other in zip(
        gradients, torch.autograd.grad(literally, others, direction), strict=True
    ):
        torch.testing.assert_close(one, other, **exact)


def assert_same_gradients(head: SparseGroupHead, rows: Sequence[Tensor]) -> None:
    """Compare the padded parameter's gradient with that of each class's own weights."""
    for row, parameter, mask in zip(rows, head.group_parameter.grad, head.member_mask, strict=True):
        torch.testing.assert_close(parameter[:, mask[0]], row.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("ours", "literally"),
    [
        (prototype_diversity_loss, literal.prototype_diversity),
        (spatial_entropy_loss, literal.spatial_entropy),
        (sample_entropy_loss, literal.sample_entropy),
    ],
)
def test_losses_of_prototypes(
    ours: Callable[..., Tensor],
    literally: Callable[..., Tensor],
    table: PrototypeTable,
    labels: Tensor,
) -> None:
    maps = torch.randn(3, len(table), *SIZE, dtype=torch.float64, requires_grad=True)
    assert_same(ours(maps, labels, table), literally(maps, labels, table), [maps], [maps])


def test_group_diversity(head: SparseGroupHead, labels: Tensor) -> None:
    groups = head.group_class
    scores = torch.rand(3, len(groups), *SIZE, dtype=torch.float64, requires_grad=True)
    ours = group_diversity_loss(scores, labels, groups)
    assert_same(ours, literal.group_diversity(scores, labels, groups), [scores], [scores])


@pytest.mark.parametrize("name", ["group_entropy", "group_cross_entropy", "scale_max"])
def test_losses_of_groups(name: str, head: SparseGroupHead) -> None:
    rows = cases.class_weights(head)
    ours, literally = {
        "group_entropy": (group_entropy_loss, lambda: literal.group_entropy(rows)),
        "group_cross_entropy": (
            group_cross_entropy_loss,
            lambda: literal.group_cross_entropy(rows),
        ),
        "scale_max": (scale_max_loss, lambda: literal.scale_max(rows, head.table)),
    }[name]
    value, expected = ours(head), literally()
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    value.backward()
    expected.backward()
    assert_same_gradients(head, rows)


def test_distances(layer: MultiScalePrototypeLayer, embedding: Tensor) -> None:
    leaves = [embedding, layer.prototypes]
    literally = literal.distances(embedding, layer.prototypes, layer.table)
    assert_same(layer(embedding).distances, literally, leaves, leaves)


def test_activations(layer: MultiScalePrototypeLayer, embedding: Tensor) -> None:
    leaves = [embedding, layer.prototypes]
    squared = literal.distances(embedding, layer.prototypes, layer.table)
    ours = layer(embedding).activations
    assert_same(ours, literal.activations(squared), leaves, leaves)


def test_stage1_logits(layer: MultiScalePrototypeLayer, embedding: Tensor) -> None:
    head = PrototypeHead(layer.table).double()
    leaves = [embedding, layer.prototypes, head.weight]
    ours = head(layer(embedding).activations)
    literally = literal.stage1_logits(embedding, layer.prototypes, layer.table, head.weight)
    assert_same(ours, literally, leaves, leaves)


def test_grouped_logits(
    layer: MultiScalePrototypeLayer, head: SparseGroupHead, embedding: Tensor
) -> None:
    rows = cases.class_weights(head)
    ours = head(layer(embedding).activations)
    literally = literal.grouped_logits(embedding, layer.prototypes, layer.table, rows, head.weight)
    leaves = [embedding, layer.prototypes, head.weight]
    assert_same(ours, literally, leaves, leaves)
    direction = torch.randn_like(ours)
    (head(layer(embedding).activations) * direction).sum().backward()
    again = literal.grouped_logits(embedding, layer.prototypes, layer.table, rows, head.weight)
    torch.autograd.backward((again * direction).sum(), inputs=rows)
    assert_same_gradients(head, rows)


def test_projection(layer: MultiScalePrototypeLayer, embedding: Tensor, labels: Tensor) -> None:
    # Two prototypes of one class and scale that find the same patch are duplicates.
    layer.prototypes.data[1] = layer.prototypes.data[0]
    search = PrototypeSearch(layer.table, layer.prototypes)
    search.update(embedding, labels, range(len(embedding)))
    ours = search.compute()
    images = list(zip(embedding.detach(), labels, strict=True))
    patches, vectors, kept = literal.projection(images, layer.prototypes, layer.table)
    assert [patch.image for patch in patches] == ours.image_index.tolist()
    assert [patch.row for patch in patches] == ours.row.tolist()
    assert [patch.col for patch in patches] == ours.col.tolist()
    assert [patch.distance for patch in patches] == pytest.approx(ours.distance.tolist(), rel=1e-6)
    assert torch.equal(vectors, ours.vector)
    assert kept == ours.kept.tolist()
    assert len(kept) < len(layer.table)
