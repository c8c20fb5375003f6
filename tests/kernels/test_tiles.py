"""Large maps, tile by tile, are those in one piece."""

from collections.abc import Callable
from threading import Thread

import pytest
import torch
from torch import Tensor

from benchmarks.speed.measure import peak_memory
from protoxai import MultiScalePrototypeLayer, PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.kernels import untiled
from protoxai.kernels.tiles import by_pixels
from tests.cases import UNEVEN
from tests.kernels.tiling import small_tiles

Head = PrototypeHead | SparseGroupHead
HEADS = [PrototypeHead, SparseGroupHead]


def way_of(kind: type[Head], device: torch.device) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """Something of all maps between an embedding and the logits, and its parameters."""
    layer = MultiScalePrototypeLayer(UNEVEN, dim=2).to(device).double()
    head = kind(UNEVEN).to(device).double()

    def value(embedding: Tensor) -> Tensor:
        distances, activations = layer(embedding)
        logits: Tensor = head(activations)
        return distances.square().mean() + activations.mean() + logits.square().mean()

    return value, [*layer.parameters(), *head.parameters()]


def embedding_on(device: torch.device, *size: int) -> Tensor:
    shape = (2, UNEVEN.num_scales, 2, *(size or (3, 5)))
    return torch.rand(shape, dtype=torch.float64, device=device, requires_grad=True)


@pytest.mark.parametrize("elements", [1, 50, 100])
@pytest.mark.parametrize("kind", HEADS)
def test_values_and_gradients(kind: type[Head], elements: int, device: torch.device) -> None:
    value, parameters = way_of(kind, device)
    embedding = embedding_on(device)
    results = []
    for context in (untiled(), small_tiles(elements)):
        with context:
            found = value(embedding)
            results.append((found, *torch.autograd.grad(found, [embedding, *parameters])))
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_of_gradients(kind: type[Head]) -> None:
    value, _ = way_of(kind, torch.device("cpu"))
    with small_tiles():
        assert torch.autograd.gradgradcheck(value, embedding_on(torch.device("cpu"), 1, 3))


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacrev])
def test_reverse_transforms_see_one_piece(
    transform: Callable[..., Callable[[Tensor], Tensor]],
) -> None:
    value, _ = way_of(SparseGroupHead, torch.device("cpu"))
    embedding = embedding_on(torch.device("cpu"))
    (expected,) = torch.autograd.grad(value(embedding), embedding)
    with small_tiles():
        torch.testing.assert_close(transform(value)(embedding.detach()), expected)


@pytest.mark.parametrize("kind", HEADS)
def test_maps_in_any_layout(kind: type[Head]) -> None:
    layer, head = MultiScalePrototypeLayer(UNEVEN, dim=3), kind(UNEVEN)
    embedding = torch.rand(1, 4, 3, 4, 5).expand(2, -1, -1, -1, -1)
    last = embedding.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    expected = head(layer(embedding.contiguous()).activations)
    for given in (embedding, last):
        assert not given.is_contiguous()
        with small_tiles():
            torch.testing.assert_close(head(layer(given).activations), expected)


@pytest.mark.parametrize("shape", [(0, 4, 2, 3, 5), (2, 4, 2, 0, 5)])
def test_no_image_and_no_pixel(shape: tuple[int, ...]) -> None:
    layer, head = MultiScalePrototypeLayer(UNEVEN, dim=2), SparseGroupHead(UNEVEN)
    embedding = torch.rand(shape, requires_grad=True)
    with small_tiles():
        logits = head(layer(embedding).activations)
        logits.sum().backward()
    assert logits.shape == (shape[0], 5, *shape[3:])
    assert embedding.grad.shape == shape
    assert (layer.prototypes.grad == 0).all()


@pytest.mark.parametrize("recorded", [False, True])
def test_every_pixel_is_in_one_tile(recorded: bool) -> None:
    sizes = []

    def doubled(tile: Tensor) -> tuple[Tensor, ...]:
        sizes.append(tile.shape[-1])
        return tile * 2, tile[:, :1]

    maps = torch.rand(2, 3, 4, 5)
    with small_tiles(elements=42, least_pixels=3), torch.set_grad_enabled(recorded):
        twice, first = by_pixels(doubled, maps, channels=3)
    assert sizes == [7, 7, 6]
    assert torch.equal(twice, maps * 2)
    assert torch.equal(first, maps[:, :1])


def test_small_maps_stay_in_one_piece() -> None:
    calls = []

    def counted(tile: Tensor) -> tuple[Tensor, ...]:
        calls.append(tile.shape)
        return (tile,)

    maps = torch.rand(2, 3, 4, 5)
    by_pixels(counted, maps, channels=3)
    with untiled(), small_tiles():
        by_pixels(counted, maps, channels=3, always=True)
    assert calls == [maps.shape] * 2


def test_untiled_holds_for_its_own_thread_alone() -> None:
    tiled = []

    def elsewhere() -> None:
        with small_tiles():
            by_pixels(
                lambda tile: (tiled.append(tile.shape[-1]), (tile,))[1], torch.rand(1, 9, 9, 9), 9
            )

    with untiled():
        thread = Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(tiled) > 1


def test_memory_of_a_large_head() -> None:
    """At most five maps of all prototypes, the results and all gradients included."""
    table = PrototypeTable.regular(num_classes=150, num_scales=4, per_scale=3)
    layer, head = MultiScalePrototypeLayer(table, dim=16), SparseGroupHead(table)
    embedding = torch.rand(2, 4, 16, 65, 65, requires_grad=True)
    leaves = [embedding, layer.prototypes, head.group_parameter, head.weight]

    def step() -> object:
        maps = layer(embedding)
        logits = head(maps.activations)
        return maps, torch.autograd.grad(logits.sum(), leaves)

    assert peak_memory(step) < 5 * 2 * len(table) * 65 * 65 * 4
