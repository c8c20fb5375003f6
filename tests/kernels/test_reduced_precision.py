"""Distances, group sums and heads under settings that round the factors of float32 products."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from protoxai import MultiScalePrototypeLayer, PrototypeTable
from protoxai.attribution.evidence import prototype_evidence
from protoxai.losses import group_cross_entropy_loss
from protoxai.runtime import precision
from tests.toys import small_model

# PyTorch 2.9 says of the old switches, which users still have, that they will go.
pytestmark = pytest.mark.filterwarnings("ignore:Please use the new API settings:UserWarning")

TABLE = PrototypeTable.regular(num_classes=3, num_scales=2, per_scale=10)
PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.bmm.default)
TF32_BITS = 13
"""Bits of a float32 that TF32 does not have."""


def old_switch() -> None:
    torch.set_float32_matmul_precision("high")


def older_switch() -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.mkldnn.matmul.fp32_precision = "tf32"


def new_switches() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def newest_switch() -> None:
    torch.backends.fp32_precision = "tf32"


def old_and_new_switches() -> None:
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.fp32_precision = "tf32"


SWITCHES = [old_switch, older_switch, new_switches, newest_switch, old_and_new_switches]


@pytest.fixture(autouse=True)
def _full_precision_afterwards() -> Iterator[None]:
    yield
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = "none"
    torch.backends.mkldnn.matmul.fp32_precision = "none"


class SimulatedTF32(TorchDispatchMode):
    """Matrix products as an accelerator computes them, and the types of their factors."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            self.types += [factor.dtype for factor in args]
            args = [rounded(factor) if factor.dtype == torch.float32 else factor for factor in args]
        return func(*args, **(kwargs or {}))


def rounded(values: Tensor) -> Tensor:
    """Round to the nearest numbers of TF32, halves to even."""
    bits = values.contiguous().view(torch.int32)
    last = (bits >> TF32_BITS) & 1
    return ((bits + (1 << (TF32_BITS - 1)) - 1 + last) & -(1 << TF32_BITS)).view(torch.float32)


def test_simulated_factors_have_ten_bits() -> None:
    exact = torch.tensor([1.0, 1 + 2**-10, -3.0])
    assert torch.equal(rounded(exact), exact)
    between = torch.tensor([1 + 2**-12, 1 + 2**-11, 1 + 3 * 2**-11])
    assert rounded(between).tolist() == [1.0, 1.0, 1 + 2**-9]


def own_activations(device: torch.device) -> Tensor:
    """The activation of each of 60 projected prototypes at its own patch."""
    layer = MultiScalePrototypeLayer(TABLE, dim=64).to(device)
    embedding = torch.randn(1, 2, 64, 8, 8, device=device).mul(2).sigmoid()
    prototype = torch.arange(len(TABLE))
    with torch.no_grad():
        patches = embedding.flatten(3)[0, TABLE.scale_index, :, prototype]
        layer.prototypes.copy_(patches)
        return layer(embedding).activations.flatten(2)[0, prototype, prototype].cpu()


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_prototype_keeps_its_activation_at_its_own_patch(
    switch: Callable[[], None], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    highest = math.log(1e4)
    switch()
    with SimulatedTF32():
        assert float(own_activations(device).mean()) == pytest.approx(highest, abs=0.01)
        monkeypatch.setattr(precision, "_rounds_products", lambda device_type: False)
        assert float(own_activations(device).mean()) == pytest.approx(8.2, abs=0.25)


def test_by_hardware(device: torch.device) -> None:
    old_switch()
    assert float(own_activations(device).min()) == pytest.approx(math.log(1e4), abs=0.03)


def every_product(device: torch.device, last_layer: Any) -> None:
    """All products of both stages, of explanations and of losses, forward and backward."""
    model = small_model(last_layer=last_layer).to(device)
    images = torch.randn(2, 3, 16, 20, device=device)
    model(images).logits.square().mean().backward()
    model.group(2)
    output = model(images)
    prototype_evidence(model.head, output, 0)
    (output.logits.square().mean() + group_cross_entropy_loss(model.head)).backward()


@pytest.mark.parametrize("last_layer", ["dense", "tied"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_no_product_has_factors_of_float32(
    switch: Callable[[], None], last_layer: str, device: torch.device
) -> None:
    with SimulatedTF32() as usual:
        every_product(device, last_layer)
    assert set(usual.types) == {torch.float32}
    switch()
    with SimulatedTF32() as products:
        every_product(device, last_layer)
        nn.Linear(2, 2, bias=False, device=device)(torch.ones(1, 2, device=device))
    # The backward passes are products as well; a user's own layer keeps the user's setting.
    assert products.types == [torch.float64] * len(usual.types) + [torch.float32] * 2


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_settings_stay_the_users(switch: Callable[[], None], device: torch.device) -> None:
    def settings() -> list[str]:
        parts = (torch.backends.cuda, torch.backends.mkldnn)
        return [operations.matmul.fp32_precision for operations in parts]

    switch()
    before = settings()
    every_product(device, "dense")
    assert settings() == before != ["none", "none"]


def test_function_transforms_compute_in_full_precision_too(device: torch.device) -> None:
    old_switch()
    matrix = torch.randn(3, 4, device=device)

    def product(vectors: Tensor) -> Tensor:
        return precision.full_precision_einsum(matrix, vectors, "m k, k n -> m n").square().sum()

    vectors = torch.randn(4, 2, device=device)
    with SimulatedTF32() as products:
        gradient = torch.func.grad(product)(vectors)
    assert gradient.dtype == torch.float32
    assert set(products.types) == {torch.float64}
    torch.testing.assert_close(gradient, 2 * matrix.T @ (matrix @ vectors), rtol=1e-2, atol=1e-2)


def test_the_mark_of_a_constant_is_that_of_pytorch() -> None:
    def marked() -> None: ...

    torch.compiler.assume_constant_result(marked)
    assert vars(marked).items() <= vars(precision._rounds_products).items()
    assert vars(marked)


def test_compiled_functions_follow_the_setting() -> None:
    widened: list[bool] = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        del inputs
        widens = any(node.target == "double" for node in graph.graph.nodes)

        def run(*args: Tensor) -> Any:
            widened.append(widens)
            return graph(*args)

        return run

    torch.compiler.reset()
    compiled = torch.compile(
        lambda first, second: precision.full_precision_einsum(first, second, "i k, k j -> i j"),
        fullgraph=True,
        backend=backend,
    )
    first, second = torch.randn(2, 3), torch.randn(3, 4)
    for setting in ("highest", "high", "highest"):
        torch.set_float32_matmul_precision(setting)
        torch.testing.assert_close(compiled(first, second), first @ second)
    torch.compiler.reset()
    assert widened == [False, True, False]
