"""torch.func through the layer and the heads."""

import pytest
import torch
from torch import Tensor

from protoxai import MultiScalePrototypeLayer, PrototypeHead, SparseGroupHead
from tests.cases import UNEVEN

Head = PrototypeHead | SparseGroupHead


@pytest.fixture(params=[PrototypeHead, SparseGroupHead])
def parts(request: pytest.FixtureRequest) -> tuple[MultiScalePrototypeLayer, Head]:
    return MultiScalePrototypeLayer(UNEVEN, dim=4).double(), request.param(UNEVEN).double()


def test_func_grad_is_the_gradient(parts: tuple[MultiScalePrototypeLayer, Head]) -> None:
    layer, head = parts

    def loss(embedding: Tensor) -> Tensor:
        return head(layer(embedding).activations).square().sum()

    embedding = torch.rand(2, UNEVEN.num_scales, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(loss(embedding), embedding)
    torch.testing.assert_close(torch.func.grad(loss)(embedding.detach()), expected)


def test_vmap_is_a_loop(parts: tuple[MultiScalePrototypeLayer, Head]) -> None:
    layer, head = parts
    several = torch.rand(3, 2, UNEVEN.num_scales, 4, 3, 2, dtype=torch.float64)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda embedding: head(layer(embedding).activations))(several)
        looped = torch.stack([head(layer(embedding).activations) for embedding in several])
    torch.testing.assert_close(mapped, looped)
