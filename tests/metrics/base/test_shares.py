import torch

from protoxai.metrics.base.shares import shares


def test_by_hand() -> None:
    values = shares(torch.tensor([[1, -3], [0, 0]]))
    expected = torch.tensor([[0.25, 0.75], [torch.nan, torch.nan]], dtype=torch.float64)
    torch.testing.assert_close(values, expected, equal_nan=True)
