"""Tensors are taken by type, layout and shape; nothing reads their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from protoxai.runtime.tensors import Kind, tensor

DTYPES = (torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64)
KINDS: dict[Kind, set[torch.dtype]] = {
    "floating point": {torch.float32, torch.bfloat16},
    "integers": {torch.int64, torch.uint8},
    "real numbers": {torch.float32, torch.bfloat16, torch.int64, torch.uint8},
    "bool": {torch.bool},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_types_belong_to_kinds(kind: Kind, dtype: torch.dtype) -> None:
    given = torch.zeros(2, 3, dtype=dtype)
    if dtype in KINDS[kind]:
        assert tensor("maps", given, "rows cols", kind) is given
    else:
        with pytest.raises(TypeError, match=rf"^maps: got {dtype}, expected {kind}: "):
            tensor("maps", given, "rows cols", kind)


@pytest.mark.parametrize("given", [None, "a", 3, [[1.0]], np.zeros((2, 3)), {"maps": 1}])
def test_what_is_no_tensor_is_refused_by_name_and_type(given: object) -> None:
    kind = type(given).__name__
    with pytest.raises(TypeError, match=rf"^maps: got .*{kind}.*, expected a tensor of"):
        tensor("maps", given, "rows cols")


def test_arrays_come_with_the_conversion() -> None:
    with pytest.raises(TypeError, match="from_numpy"):
        tensor("maps", np.zeros(2), "rows")
    with pytest.raises(TypeError, match="divide colours by 255"):
        tensor("images", torch.zeros(2, dtype=torch.uint8), "rows")


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2), (2, 3, 1), ()])
def test_shapes_are_named_by_dimension(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^maps: got shape .*expected \(rows=2, cols=3\): ask$"):
        tensor("maps", torch.zeros(shape), "rows cols", hint="ask", sizes={"rows": 2, "cols": 3})


def test_leading_dimensions_may_be_any() -> None:
    for shape in ((3,), (2, 3), (5, 2, 3)):
        tensor("maps", torch.zeros(shape), "... cols", sizes={"cols": 3})
    with pytest.raises(ValueError, match=r"expected \(\.\.\., rows, cols\)"):
        tensor("maps", torch.zeros(3), "... rows cols")


def test_sparse_and_quantised_tensors_and_those_without_values_are_named() -> None:
    given = torch.eye(2)
    with pytest.raises(TypeError, match=r"maps: got a tensor that is torch.sparse_coo"):
        tensor("maps", given.to_sparse(), "rows cols")
    with pytest.raises(TypeError, match=r"maps: got a tensor of the device meta"):
        tensor("maps", given.to("meta"), "rows cols")
    assert tensor("maps", given.to("meta"), "rows cols", meta=True).is_meta
