import math

import pytest
import torch

from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeTable,
    ScaleProtoSeg,
    SparseGroupHead,
)
from protoxai.explanations.gallery.contents import contents_of
from protoxai.metrics import group_scale_diversity, prototype_redundancy
from protoxai.metrics.prototype.group_overlap import group_overlap
from tests.explanations.cases import NAMES, block_model

# Classes 0, 1, 2 have the prototypes 0 1 5, 2 4 and 3; those of scale 0 are 1 and 3.
WEIGHTS = torch.tensor(
    [
        [0.2, 0.3, 0, 0, 0, 0.5],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0.5, 0, 0.25, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0, 0],
    ]
)


def grouped() -> ScaleProtoSeg:
    model = block_model(projected=False).group(2)
    assert isinstance(model.head, SparseGroupHead)
    model.head.set_group_weights(WEIGHTS)
    return model


def test_groups_are_compositions_over_scales() -> None:
    sky, road, tree = contents_of(grouped())
    assert (sky.name, road.name, tree.name) == NAMES
    first, second = sky.groups
    assert first.number == 1
    # Prototype 1 is of scale 0, and the heavier one of scale 1 comes first.
    assert [index for index, _ in first.members] == [1, 5, 0]
    assert [weight for _, weight in first.members] == pytest.approx([0.3, 0.5, 0.2])
    assert second.members == ((5, 1.0),)
    unused = road.groups[1]
    assert (unused.number, unused.members) == (2, ())
    assert tree.in_use == (3,)


def test_figures_are_those_of_the_metrics() -> None:
    model = grouped()
    found = contents_of(model)
    mass = group_scale_diversity(model.head).mass
    overlap = group_overlap(model.head).overlap
    for class_index, each in enumerate(found):
        own = mass[2 * class_index : 2 * class_index + 2]
        expected = own[~own.isnan().any(1)].mean(0).tolist()
        assert each.scale_mass == pytest.approx(tuple(expected))
        assert sum(each.scale_mass) == pytest.approx(1)
        assert each.overlap == pytest.approx(float(overlap[class_index]), nan_ok=True)


def test_redundancy_is_that_of_the_class_alone() -> None:
    model = block_model(PrototypeTable([0, 0, 1, 1, 2], [0] * 5, 3, 2), projected=False)
    vectors = model.prototype_layer.prototypes.data
    vectors[1], vectors[3] = vectors[0] + 1e-3, vectors[2] + 1
    shares = [each.redundancy for each in contents_of(model)]
    assert shares[:2] == [1.0, 0.0]
    assert math.isnan(shares[2])
    layer: MultiScalePrototypeLayer = model.prototype_layer
    assert float(prototype_redundancy(layer)) == 0.5


def test_prototypes_that_are_not_used_are_not_redundant() -> None:
    table = PrototypeTable([0, 0, 1, 2], [0] * 4, 3, 2)
    model = block_model(table, projected=False).group(1)
    vectors = model.prototype_layer.prototypes.data
    vectors[1] = vectors[0]
    assert isinstance(model.head, SparseGroupHead)
    weights = torch.eye(3)[:, [0, 0, 1, 2]] / torch.tensor([2, 2, 1, 1])
    model.head.set_group_weights(weights)
    assert contents_of(model)[0].redundancy == 1.0
    weights[0, 1] = 0
    model.head.set_group_weights(weights)
    assert math.isnan(contents_of(model)[0].redundancy)


def test_stage_1_counts_prototypes() -> None:
    model = block_model(projected=False)
    for each in contents_of(model):
        own = (model.table.class_index == each.class_index).nonzero().flatten().tolist()
        assert sorted(each.in_use) == own
        assert each.groups == ()
        total = len(own)
        shares = [len(scale) / total for scale in each.by_scale]
        assert each.scale_mass == pytest.approx(tuple(shares))


def test_prototypes_that_no_group_uses_are_left_out() -> None:
    model = grouped()
    weights = WEIGHTS.clone()
    weights[:2, 1] = 0
    weights[4:] = 0
    assert isinstance(model.head, SparseGroupHead)
    model.head.set_group_weights(weights)
    sky, _, tree = contents_of(model)
    assert 1 not in sky.in_use
    assert (sky.prototypes, tree.prototypes, tree.in_use) == (3, 1, ())
    assert all(math.isnan(share) for share in tree.scale_mass)
