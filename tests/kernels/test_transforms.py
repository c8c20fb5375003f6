"""torch.func through the layer, the heads and the losses of pixels, also where it is compiled."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from protoxai import MultiScalePrototypeLayer, PrototypeHead, SparseGroupHead
from protoxai.losses import prototype_diversity_loss, spatial_entropy_loss
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


# PyTorch's own forward derivatives are scripted.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "transform",
    [
        torch.func.grad,
        torch.func.jacfwd,
        torch.func.jacrev,
    ],
)
@pytest.mark.slow
def test_a_compiled_transform_is_the_transform(
    parts: tuple[MultiScalePrototypeLayer, Head],
    transform: Callable[..., Callable[[Tensor], Tensor]],
) -> None:
    torch.compiler.reset()
    embedding = torch.rand(1, UNEVEN.num_scales, 4, 3, 2, dtype=torch.float64)
    value = value_of(*parts)
    compiled = torch.compile(transform(value), fullgraph=True, backend="aot_eager")
    expected = torch.autograd.functional.jacobian(value, embedding)
    torch.testing.assert_close(transform(value)(embedding), expected)
    torch.testing.assert_close(compiled(embedding), expected)


@pytest.mark.slow
def test_a_compiled_vmap_is_a_loop(parts: tuple[MultiScalePrototypeLayer, Head]) -> None:
    torch.compiler.reset()
    several = torch.rand(3, 1, UNEVEN.num_scales, 4, 3, 2, dtype=torch.float64)
    slope = torch.func.grad(value_of(*parts))
    mapped = torch.compile(torch.func.vmap(slope), fullgraph=True, backend="aot_eager")(several)
    torch.testing.assert_close(mapped, torch.stack([slope(embedding) for embedding in several]))


def value_of(layer: MultiScalePrototypeLayer, head: Head) -> Callable[[Tensor], Tensor]:
    """Something of the maps, the logits and the losses of pixels."""
    labels = torch.arange(6).view(1, 3, 2) % 4

    def value(embedding: Tensor) -> Tensor:
        distances, activations = layer(embedding)
        alike = prototype_diversity_loss(distances, labels, UNEVEN)
        spread = spatial_entropy_loss(activations, labels, UNEVEN)
        return alike + spread + head(activations).square().mean()

    return value
