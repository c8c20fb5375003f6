import pytest
import torch
from torch import nn

from protoxai.backbones.sizes import dry_run, find_size_rule
from protoxai.runtime.modes import evaluating


class Picky(nn.Module):
    def __init__(self, divisor=1, only=None):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.divisor, self.only = divisor, only

    def forward(self, images):
        size = tuple(images.shape[-2:])
        if any(side % self.divisor for side in size) or self.only not in (None, size):
            raise RuntimeError("no")
        return [self.conv(images)]


@pytest.mark.parametrize("divisor", [1, 4, 14, 32, 224])
def test_the_divisor_is_found(divisor):
    assert find_size_rule(Picky(divisor), [14], (224, 224)) == (divisor, None)


def test_a_fixed_size_is_found():
    assert find_size_rule(Picky(only=(224, 192)), [16], (224, 192)) == (1, (224, 192))


def test_no_rule_where_nothing_passes():
    assert find_size_rule(Picky(only=(1, 1)), [16], (224, 224)) == (1, None)


def test_a_dry_run_computes_nothing_and_changes_nothing():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    output = dry_run(network, 10_000, 10_000)
    assert output.device.type == "meta"
    assert output.shape == (1, 4, 9_998, 9_998)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_each_part_returns_to_its_own_mode():
    network = nn.Sequential(nn.Sequential(nn.Dropout()), nn.Dropout())
    network[0].eval()
    with evaluating(network):
        assert not any(part.training for part in network.modules())
    assert [part.training for part in network.modules()] == [True, False, False, True]
