import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.speed.measure import peak_memory
from protoxai import (
    MultiScalePrototypeLayer,
    PrototypeHead,
    PrototypeTable,
    SparseGroupHead,
    kernels,
)
from tests.cases import UNEVEN, maps_of, poison_padding, tables
from tests.kernels.tiling import small_tiles
from tests.toys import small_model

HEADS = [PrototypeHead, SparseGroupHead]
Head = PrototypeHead | SparseGroupHead
HIT = math.log(1e4)
MEGABYTE = 2**20


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """Heads in float64 of any table; trained or not, groups thresholded or not."""
    table = draw(tables())
    last_layer = draw(st.sampled_from(["dense", "tied"]))
    head = (
        PrototypeHead(table, last_layer=last_layer)
        if draw(st.booleans())
        else SparseGroupHead(table, num_groups=draw(st.integers(1, 3)), last_layer=last_layer)
    ).double()
    if draw(st.booleans()):
        head.weight.data = draw(maps_of(*head.weight.shape))
    if isinstance(head, SparseGroupHead):
        head.group_parameter.data = draw(maps_of(*head.group_parameter.shape)) / 6
        head.project_to_simplex_()
        if draw(st.booleans()):
            head.threshold_(0.3)
    return head


def stream_logits(layer: MultiScalePrototypeLayer, head: Head, embedding: Tensor) -> Tensor:
    return kernels.stream_logits(
        lambda tile: head(layer(tile).activations), embedding, len(layer.table)
    )


def layer_of(table: PrototypeTable, dim: int = 3) -> MultiScalePrototypeLayer:
    return MultiScalePrototypeLayer(table, dim)


# --- the same as the head over the layer


@settings(max_examples=100)
@given(st.data())
def test_logits_are_those_of_the_layer_and_the_head(data: st.DataObject) -> None:
    head = data.draw(heads())
    layer = MultiScalePrototypeLayer(head.table, 3, epsilon=1e-3).double()
    batch, height, width = (data.draw(st.integers(1, most)) for most in (3, 3, 4))
    shape = (batch, head.table.num_scales, 3, height, width)
    embedding = data.draw(maps_of(*shape)).sigmoid()
    expected = head(layer(embedding).activations)
    with small_tiles(data.draw(st.integers(1, 60)), data.draw(st.integers(1, 3))):
        found = stream_logits(layer, head, embedding)
    assert found.shape == (batch, head.table.num_classes, height, width)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(st.data())
def test_logits_of_the_prototypes_that_were_kept(data: st.DataObject) -> None:
    head = data.draw(heads())
    layer = layer_of(head.table).double()
    kept = data.draw(st.sets(st.integers(0, len(head.table) - 1)))
    # A class that has groups needs a prototype.
    kept |= {head.table.class_index.tolist().index(c) for c in head.table.classes.tolist()}
    for part in (layer, head):
        part.keep(sorted(kept))
    embedding = torch.rand(2, head.table.num_scales, 3, 2, 2, dtype=torch.float64)
    expected = head(layer(embedding).activations)
    with small_tiles(data.draw(st.integers(1, 60)), data.draw(st.integers(1, 3))):
        found = stream_logits(layer, head, embedding)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("elements", [20, 100])
def test_logits_in_float32(kind: type[Head], elements: int, device: torch.device) -> None:
    table = PrototypeTable.regular(num_classes=7, num_scales=3, per_scale=2)
    layer, head = MultiScalePrototypeLayer(table, 64).to(device), kind(table).to(device)
    embedding = torch.rand(2, 3, 64, 5, 6, device=device)
    # An exact hit, where the activation is steepest.
    embedding[1, 0, :, 2, 3] = layer.prototypes.detach()[0]
    expected = head(layer(embedding).activations).detach()
    with small_tiles(elements):
        found = stream_logits(layer, head, embedding)
    assert found.device.type == device.type
    # A group's score is exponential in the activation: 1 % at an exact hit.
    hit = torch.zeros(2, 1, 5, 6, dtype=torch.bool, device=device)
    hit[1, 0, 2, 3] = True
    torch.testing.assert_close(found.where(~hit, 0), expected.where(~hit, 0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.where(hit, 0), expected.where(hit, 0), rtol=0.02, atol=1e-5)


@pytest.mark.parametrize("elements", [1500, 9000])
def test_exact_hits_in_float32(elements: int, device: torch.device) -> None:
    pixels = 300
    # A class for each pixel, and a prototype of it there: logits are activations.
    table = PrototypeTable(range(pixels), [0] * pixels, pixels, 1)
    layer = MultiScalePrototypeLayer(table, 64).to(device)
    head = PrototypeHead(table, off_class=0).to(device)
    embedding = torch.rand(1, 1, 64, 20, 15, device=device)
    layer.prototypes.data.copy_(embedding.flatten(3)[0, 0].T)
    with small_tiles(elements):
        hits = stream_logits(layer, head, embedding).flatten(2)[0].diagonal()
    # No rounding brings an activation above that of distance 0.
    assert hits.max() < HIT + 1e-5
    assert hits.min() > 0.99 * HIT


@pytest.mark.parametrize("kind", HEADS)
def test_no_gradient_is_kept(kind: type[Head]) -> None:
    layer, head = layer_of(UNEVEN), kind(UNEVEN)
    embedding = torch.rand(1, 4, 3, 2, 2, requires_grad=True)
    logits = stream_logits(layer, head, embedding)
    assert not logits.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", HEADS)
def test_nothing_given_changes(kind: type[Head]) -> None:
    layer, head = layer_of(UNEVEN), kind(UNEVEN)
    embedding = torch.rand(2, 4, 3, 2, 3)
    given = [embedding, *layer.parameters(), *head.parameters()]
    before = [tensor.detach().clone() for tensor in given]
    stream_logits(layer, head, embedding)
    assert all(torch.equal(old, new) for old, new in zip(before, given, strict=True))


def test_padded_weights_count_for_nothing() -> None:
    layer, head = layer_of(UNEVEN), SparseGroupHead(UNEVEN)
    embedding = torch.rand(2, 4, 3, 2, 3)
    expected = stream_logits(layer, head, embedding)
    poison_padding(head)
    assert torch.equal(stream_logits(layer, head, embedding), expected)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("elements", [20, 100])
def test_no_image(kind: type[Head], elements: int) -> None:
    with small_tiles(elements):
        logits = stream_logits(layer_of(UNEVEN), kind(UNEVEN), torch.rand(0, 4, 3, 5, 6))
    assert logits.shape == (0, 5, 5, 6)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("shape", [(1, 3, 3, 2, 2), (1, 4, 2, 2, 2), (4, 3, 2, 2)])
def test_embedding_that_does_not_fit(kind: type[Head], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, scales=4, channels=3, height, width\)"):
        stream_logits(layer_of(UNEVEN), kind(UNEVEN), torch.rand(shape))


# --- precision


TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("types", list(product(TYPES, repeat=2)))
def test_layer_and_head_of_any_type(
    kind: type[Head], types: tuple[torch.dtype, torch.dtype], device: torch.device
) -> None:
    layer = layer_of(UNEVEN).to(device, types[0])
    head = kind(UNEVEN).to(device, types[1])
    embedding = torch.rand(2, 4, 3, 2, 3, device=device)
    expected = head(layer(embedding).activations).detach()
    logits = stream_logits(layer, head, embedding)
    assert logits.dtype == expected.dtype
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(
    kind: type[Head], dtype: torch.dtype, device: torch.device
) -> None:
    layer, head = layer_of(UNEVEN).to(device), kind(UNEVEN).to(device)
    embedding = torch.rand(2, 4, 3, 2, 3, device=device).to(dtype)
    expected = stream_logits(layer, head, embedding)
    with torch.autocast(device.type, dtype=dtype):
        logits = stream_logits(layer, head, embedding)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("layout", ["channels last", "expanded"])
def test_layout_in_memory_does_not_matter(layout: str) -> None:
    layer, head = layer_of(UNEVEN), SparseGroupHead(UNEVEN)
    embedding = torch.rand(1, 4, 3, 2, 5).expand(2, -1, -1, -1, -1)
    given = embedding
    if layout == "channels last":
        given = embedding.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    assert not given.is_contiguous()
    expected = stream_logits(layer, head, embedding.contiguous())
    torch.testing.assert_close(stream_logits(layer, head, given), expected)


# --- models


@pytest.mark.parametrize("input_scales", [(), (0.5, 0.75)])
@pytest.mark.parametrize("stage", [1, 2])
def test_logits_of_a_model_are_those_of_its_output(
    stage: int, input_scales: tuple[float, ...], device: torch.device
) -> None:
    model = small_model(5, input_scales=input_scales, init_gain=1.0)
    if stage == 2:
        model.group().head.threshold_(0.2)
    model = model.to(device).eval()
    images = torch.randn(2, 3, 40, 52, device=device)
    expected = model(images).logits
    logits = model.logits(images)
    assert not logits.requires_grad
    assert expected.std() > 0.05
    torch.testing.assert_close(logits, expected.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_model_of_any_type_predicts(stage: int, dtype: torch.dtype, device: torch.device) -> None:
    model = small_model()
    if stage == 2:
        model.group()
    model = model.to(device, dtype).eval()
    images = torch.randn(2, 3, 16, 20, device=device).to(dtype)
    expected: Tensor = model(images).logits.detach()
    torch.testing.assert_close(model.logits(images), expected, rtol=1e-3, atol=1e-3)
    assert model.predict(images).shape == (2, 16, 20)


# --- memory


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("last_layer", ["dense", "tied"])
def test_memory_does_not_grow_with_the_prototypes_of_a_class(
    kind: type[Head], last_layer: str
) -> None:
    embedding = torch.rand(2, 3, 4, 64, 64)
    peaks = []
    for per_scale in (4, 32):
        table = PrototypeTable.regular(num_classes=100, num_scales=3, per_scale=per_scale)
        layer, head = layer_of(table, dim=4), kind(table, last_layer=last_layer)
        peaks.append(peak_memory(lambda: stream_logits(layer, head, embedding)))  # noqa: B023
    one_map = 2 * len(table) * 64 * 64 * 4
    assert peaks[1] < 0.15 * one_map
    # Tiles of fewer pixels make up for eight times the prototypes.
    assert peaks[1] < 1.6 * peaks[0]


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
def test_a_thousand_classes_are_predicted_in_200_megabytes(stage: int) -> None:
    model = small_model(1000, prototype_dim=64, prototypes_per_scale=6)
    assert len(model.table) == 12_000
    if stage == 2:
        model.group()
    torch.nn.init.normal_(model.head.weight)
    images = torch.randn(1, 3, 256, 256)
    assert model.embed(images).shape[3:] == (64, 64)
    assert peak_memory(lambda: model.predict(images)) < 200 * MEGABYTE
