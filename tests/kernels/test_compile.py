"""`torch.compile` of layer, heads, losses and models, without a break in the graph."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from protoxai import MultiScalePrototypeLayer, PrototypeHead, PrototypeTable, SparseGroupHead
from protoxai.losses import (
    ScaleProtoSegLoss,
    loss_terms,
    prototype_diversity_loss,
    spatial_entropy_loss,
)
from protoxai.losses.criterion import TERMS, HeadTerm
from protoxai.model.outputs import SegmentationOutput
from tests.cases import UNEVEN, VOID
from tests.toys import small_model

# Batch, height and width. In the first, none is the number of something else: the compiler would
# take the two for one.
GRIDS = [(7, 10, 11), (8, 13, 12), (11, 14, 17)]
IMAGES = [(7, 36, 44), (8, 40, 52), (11, 60, 52)]
REGULAR = PrototypeTable.regular(num_classes=5, num_scales=4, per_scale=3)
STAGE_1 = {
    "cross_entropy",
    "prototype_diversity",
    "spatial_entropy",
    "sample_entropy",
    "activation_norm_l1",
    "activation_norm_linf",
    "off_class_l1",
}
QUICK = "aot_eager"
COMPILER = pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")), reason="kernels for a CPU are compiled in C++"
)

Results = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    """Nothing compiled before, nothing left behind."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def fresh(table: PrototypeTable) -> PrototypeTable:
    """The same table, of which nothing has been asked yet."""
    return PrototypeTable(table.class_index, table.scale_index, table.num_classes, table.num_scales)


def agree(
    function: Callable[..., Results], inputs: list[list[Tensor]], module: nn.Module, backend: str
) -> None:
    """Compare a function and its gradients, compiled and not, for each list of inputs.

    It is compiled first, for nothing may depend on what ran before, and once for all inputs. The
    gradients are by the module's parameters and the inputs that require one.
    """
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=backend)
    found = []
    for number, each in enumerate(inputs):
        with torch.compiler.set_stance("fail_on_recompile" if number else "default"):
            found.append(_with_gradients(compiled, each, module))
    for each, results in zip(inputs, found, strict=True):
        expected = _with_gradients(function, each, module)
        assert results.keys() == expected.keys()
        for name, value in expected.items():
            size = value.abs().max().clamp_min(1e-6) if value.numel() else 1
            error = (results[name] - value).abs().max() / size
            assert error < 1e-5, (name, tuple(each[0].shape))


def _with_gradients(
    function: Callable[..., Results], inputs: list[Tensor], module: nn.Module
) -> Results:
    leaves = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
    module.zero_grad()
    results = dict(function(*leaves))
    total = torch.stack([value.square().mean() for value in results.values()]).sum()
    total.backward()
    slopes = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    slopes |= {f"input {i}": x.grad for i, x in enumerate(leaves) if x.grad is not None}
    assert slopes
    found = {name: value.detach() for name, value in results.items()}
    return found | {f"gradient of {name}": slope.clone() for name, slope in slopes.items()}


def labels_for(shape: tuple[int, ...], num_classes: int) -> Tensor:
    """Of all classes but the last, and of none."""
    labels = torch.randint(0, num_classes - 1, shape)
    labels[:, :1] = VOID
    return labels


# --- parts


def layer_and_head(
    kind: Callable[[PrototypeTable], nn.Module], device: torch.device
) -> tuple[Callable[..., Results], list[list[Tensor]], nn.Module]:
    table = fresh(UNEVEN)
    parts = nn.ModuleList([MultiScalePrototypeLayer(table, dim=6), kind(table)]).to(device)

    def forward(embedding: Tensor) -> Results:
        maps = parts[0](embedding)
        return {**maps._asdict(), "logits": parts[1](maps.activations)}

    shapes = [(batch, table.num_scales, 6, *size) for batch, *size in GRIDS]
    return forward, [[torch.rand(s, device=device, requires_grad=True)] for s in shapes], parts


@pytest.mark.parametrize("last_layer", ["dense", "tied"])
@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.slow
def test_layer_and_head(
    kind: type[PrototypeHead | SparseGroupHead], last_layer: str, device: torch.device
) -> None:
    agree(*layer_and_head(partial(kind, last_layer=last_layer), device), QUICK)


@pytest.mark.parametrize("backend", ["eager", QUICK])
@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.slow
def test_autocast_changes_nothing_in_a_graph(
    kind: type[PrototypeHead | SparseGroupHead], backend: str, device: torch.device
) -> None:
    forward, [[embedding], *_], parts = layer_and_head(kind, device)
    compiled = torch.compile(forward, fullgraph=True, backend=backend)
    expected = _with_gradients(forward, [embedding], parts)

    def under_autocast(embedding: Tensor) -> Results:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return compiled(embedding)

    results = _with_gradients(under_autocast, [embedding], parts)
    for name, found in results.items():
        assert found.dtype == torch.float32
        # Compilers trace the backward pass under the autocast of the caller.
        if backend == "eager" or not name.startswith("gradient"):
            torch.testing.assert_close(found, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.slow
def test_maps_from_a_graph_can_be_changed_in_place(
    kind: type[PrototypeHead | SparseGroupHead],
) -> None:
    forward, [[embedding], *_], _ = layer_and_head(kind, torch.device("cpu"))
    compiled = torch.compile(forward, fullgraph=True, backend="eager")
    found, expected = compiled(embedding), forward(embedding)
    for name, maps in found.items():
        torch.testing.assert_close(maps.mul_(2), 2 * expected[name])


def every_loss(
    stage: int, device: torch.device
) -> tuple[Callable[..., Results], list[list[Tensor]], nn.Module]:
    terms = STAGE_1 if stage == 1 else loss_terms() - STAGE_1 | {"off_class_l1"}
    table = fresh(REGULAR)
    head = (PrototypeHead(table) if stage == 1 else SparseGroupHead(table)).to(device)
    weights = {"prototype_diversity": 0.0, "cross_entropy": 0.0} | dict.fromkeys(terms, 0.5)
    criterion = ScaleProtoSegLoss(**weights).to(device)

    def forward(labels: Tensor, logits: Tensor, maps: Tensor, scores: Tensor) -> Results:
        output = SegmentationOutput(logits, maps, maps, maps, scores)
        found: Results = criterion(output, labels, head)
        assert found.keys() == terms | {"loss"}
        return found

    inputs = []
    for batch, *size in GRIDS:
        labels = labels_for((batch, *size), 5).to(device)
        channels = (5, len(table), 15)
        maps = [torch.rand(batch, c, *size, device=device, requires_grad=True) for c in channels]
        inputs.append([labels, *maps])
    return forward, inputs, head


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.slow
def test_every_loss(stage: int, device: torch.device) -> None:
    agree(*every_loss(stage, device), QUICK)


@pytest.mark.slow
def test_no_loss_is_left_out() -> None:
    assert loss_terms() >= STAGE_1
    of_head = {name for name, term in TERMS.items() if isinstance(term, HeadTerm)}
    assert loss_terms() - STAGE_1 >= {*of_head, "group_diversity"} - STAGE_1


@pytest.mark.slow
def test_a_table_is_moved_in_the_graph() -> None:
    table = fresh(REGULAR)
    # Stands for every device other than the CPU, whose numbers cannot be read while compiling.
    elsewhere = torch.device("meta")

    @torch.compile(fullgraph=True, dynamic=True, backend="eager")
    def slots(maps: Tensor) -> Tensor:
        members = table.to(maps.device).members("class_and_scale")
        return maps.index_select(1, members.indices.flatten()) * members.mask.view(1, -1, 1)

    assert slots(torch.empty(2, len(table), 7, device=elsewhere)).shape == (2, len(table), 7)
    assert table.to(elsewhere).device == elsewhere
    assert table.to(elsewhere) is table.to(elsewhere)


# --- models


def model_of(
    stage: int, input_scales: tuple[float, ...], device: torch.device
) -> tuple[Callable[..., Results], list[list[Tensor]], nn.Module]:
    table = fresh(PrototypeTable.regular(num_classes=5, num_scales=2, per_scale=3))
    model = small_model(5, table=table, input_scales=input_scales).to(device)
    if stage == 2:
        model.group()
    # Batch normalisation would move with every call.
    model.backbone.eval()

    def forward(images: Tensor) -> Results:
        output = model(images)
        assert len(output.auxiliary) == (len(input_scales) + 1 if input_scales else 0)
        found = {}
        for number, each in enumerate((output, *output.auxiliary)):
            maps = each._asdict()
            for name in ("logits", "embedding", "distances", "activations"):
                found[f"{name} {number}"] = maps[name]
        return found

    return forward, [[torch.randn(b, 3, *size, device=device)] for b, *size in IMAGES], model


@pytest.mark.parametrize(
    ("stage", "input_scales"),
    [
        (2, ()),
        (1, ()),
        (1, (0.5,)),
        (2, (0.5,)),
    ],
)
@pytest.mark.slow
def test_model(stage: int, input_scales: tuple[float, ...], device: torch.device) -> None:
    agree(*model_of(stage, input_scales, device), QUICK)


def own_operations(program: torch.export.ExportedProgram) -> list[str]:
    # What runs without autocast is a graph within the graph.
    graphs = [part.graph for part in program.graph_module.modules() if hasattr(part, "graph")]
    nodes = [node for graph in graphs for node in graph.nodes if node.op == "call_function"]
    targets = [str(node.target) for node in nodes]
    assert any(target.startswith("aten.") for target in targets)
    return [target for target in targets if target.startswith("protoxai.")]


@pytest.mark.parametrize("loss", [prototype_diversity_loss, spatial_entropy_loss])
@pytest.mark.slow
def test_exported_losses_run_without_this_library(loss: Callable[..., Tensor]) -> None:
    class Loss(nn.Module):
        def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
            return loss(maps, labels, table)

    table = fresh(UNEVEN)
    given = (torch.rand(2, len(table), 6, 7), labels_for((2, 6, 7), 5))
    program = torch.export.export(Loss(), given)
    assert not own_operations(program)
    torch.testing.assert_close(program.module()(*given), Loss()(*given))


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.slow
def test_exported_graphs_run_without_this_library_for_any_size(stage: int) -> None:
    _, [[images], [others], *_], model = model_of(stage, (), torch.device("cpu"))
    sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(model.eval(), (images,), dynamic_shapes=(sizes,))
    assert not own_operations(program)
    for each in (images, others):
        found, expected = program.module()(each).logits, model(each).logits
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# --- kernels


@COMPILER
@pytest.mark.parametrize("kind", [PrototypeHead, SparseGroupHead])
@pytest.mark.nightly
def test_layer_and_head_as_kernels(
    kind: type[PrototypeHead | SparseGroupHead], device: torch.device
) -> None:
    agree(*layer_and_head(kind, device), "inductor")


@COMPILER
@pytest.mark.nightly
def test_model_as_kernels(device: torch.device) -> None:
    agree(*model_of(2, (), device), "inductor")
