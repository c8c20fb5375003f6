import math

import pytest
import torch
from torch import nn

from protoxai.runtime.finite import (
    NotFiniteError,
    all_finite,
    check_each,
    check_finite_weights,
    check_images,
    not_finite,
)

VALUES = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_one_value_is_found(value: float, dtype: torch.dtype) -> None:
    tensor = torch.ones(3, 4, dtype=dtype)
    assert all_finite(tensor)
    tensor[1, 2] = value
    assert not all_finite(tensor)


def test_opposite_infinities_do_not_cancel() -> None:
    assert not all_finite(torch.tensor([math.inf, -math.inf]))


def test_a_sum_that_overflows_is_finite() -> None:
    assert all_finite(torch.full((10,), 6e4, dtype=torch.float16))


@pytest.mark.parametrize(
    "tensor",
    [torch.tensor([1, 2]), torch.tensor([True]), torch.empty(0), torch.empty(2, device="meta")],
)
def test_other_tensors_are_finite(tensor: torch.Tensor) -> None:
    assert all_finite(tensor)


def test_parameters_and_buffers_are_named_with_their_numbers() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert not not_finite(module)
    module[0].weight.data[1] = math.nan
    module[1].running_var[0] = math.inf
    assert not_finite(module) == "0.weight (2 of 6 values), 1.running_var (1 of 3 values)"
    with pytest.raises(NotFiniteError, match=r"^the net has weights .*0\.weight \(2 of 6.*; fix"):
        check_finite_weights(module, "the net", "fix it")


def test_a_long_list_is_cut() -> None:
    tensors = {f"layer{i}": torch.tensor(math.nan) for i in range(7)}
    assert not_finite(tensors).endswith("layer4 (1 of 1 values) and 2 more")


def test_the_first_image_is_named() -> None:
    images = torch.rand(3, 3, 4, 4)
    check_images(images)
    images[1, 0, 0, :2] = math.inf
    images[2, 0, 0, 0] = math.nan
    with pytest.raises(NotFiniteError, match=r"^image 1 of the batch .*2 of 48.*1 more"):
        check_images(images)
    with pytest.raises(NotFiniteError, match=r"^the image berlin has"):
        check_each(images, "{image} has them", ["bern", "berlin", "bonn"])
