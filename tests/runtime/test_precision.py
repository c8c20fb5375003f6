import pytest
import torch

from protoxai.runtime.precision import widen, without_autocast


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([torch.float16], torch.float32),
        ([torch.bfloat16, torch.float16], torch.float32),
        ([torch.float32], torch.float32),
        ([torch.float16, torch.float64], torch.float64),
    ],
)
def test_widen_gives_the_widest_type_and_float32_at_the_least(
    given: list[torch.dtype], expected: torch.dtype
) -> None:
    wide = widen(*(torch.full((2,), 0.5, dtype=dtype) for dtype in given))
    assert [tensor.dtype for tensor in wide] == [expected] * len(given)
    assert all(tensor.tolist() == [0.5, 0.5] for tensor in wide)


def test_widen_lets_gradients_through() -> None:
    half = torch.ones(2, dtype=torch.float16, requires_grad=True)
    widen(half)[0].sum().backward()
    assert half.grad is not None
    assert half.grad.tolist() == [1, 1]


def test_autocast_is_off_inside_and_on_again_after(device: torch.device) -> None:
    matrix = torch.eye(2, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        with without_autocast(matrix):
            assert (matrix @ matrix).dtype == torch.float32
        assert (matrix @ matrix).dtype == torch.bfloat16
