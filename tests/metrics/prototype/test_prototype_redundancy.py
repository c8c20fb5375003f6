import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai import MultiScalePrototypeLayer, PrototypeTable
from protoxai.metrics import PrototypeRedundancy, prototype_redundancy
from tests.cases import UNEVEN, rearranged


def layer_of(table: PrototypeTable, *vectors: list[float]) -> MultiScalePrototypeLayer:
    layer = MultiScalePrototypeLayer(table, dim=2)
    layer.prototypes.data = torch.tensor(vectors)
    return layer


def test_pairs_within_class_and_scale_by_hand() -> None:
    table = PrototypeTable([0, 0, 1, 0, 0], [0, 0, 0, 1, 0], num_classes=2, num_scales=2)
    layer = layer_of(table, [0, 0], [0.3, 0.4], [0, 0], [0, 0], [0, 0.02])
    result = prototype_redundancy(layer)
    expected = torch.tensor([0.5, 0.02, math.hypot(0.3, 0.38)])
    torch.testing.assert_close(result.distances, expected)
    torch.testing.assert_close(result.share, torch.tensor(1 / 3))
    assert float(prototype_redundancy(layer, tolerance=0.5).share) == float(torch.tensor(2 / 3))
    assert prototype_redundancy(layer, tolerance=1).share == 1
    assert prototype_redundancy(layer, tolerance=0.01).share == 0


def test_equal_prototypes_are_at_distance_0() -> None:
    layer = MultiScalePrototypeLayer(PrototypeTable.regular(1, 1, 9), dim=64)
    layer.prototypes.data = torch.rand(64).expand(9, 64).clone()
    metric = PrototypeRedundancy(tolerance=1e-6)
    metric.update(layer)
    assert metric.compute().distances.tolist() == [0] * 36
    assert metric.values() == {"share": 1}
    assert metric.higher_is_better is None


def test_without_a_pair_it_is_undefined() -> None:
    layer = MultiScalePrototypeLayer(PrototypeTable.regular(2, 3, 1), dim=2)
    assert prototype_redundancy(layer).share.isnan()


@given(st.permutations(range(len(UNEVEN))), st.integers(0, 2**31))
def test_the_order_of_prototypes_does_not_matter(order: list[int], seed: int) -> None:
    numbers = torch.tensor(order)
    layer = MultiScalePrototypeLayer(UNEVEN, dim=3)
    layer.prototypes.data = torch.rand(
        len(UNEVEN), 3, generator=torch.Generator().manual_seed(seed)
    )
    other = MultiScalePrototypeLayer(rearranged(UNEVEN, numbers), dim=3)
    other.prototypes.data = layer.prototypes.data[numbers]
    one, another = (prototype_redundancy(each, tolerance=0.5) for each in (layer, other))
    torch.testing.assert_close(another.distances.sort().values, one.distances.sort().values)
    assert another.share == one.share
