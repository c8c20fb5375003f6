from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
import torch
from torch import nn

from protoxai import ScaleProtoSeg, explain
from protoxai.attribution import PrototypeAttribution
from protoxai.evaluation import evaluate
from protoxai.runtime.modes import evaluating
from tests.toys import modes, small_model


def network() -> nn.Sequential:
    """Parts in either mode, one of them shared."""
    shared = nn.Dropout()
    result = nn.Sequential(shared, nn.Sequential(nn.Dropout(), shared), nn.BatchNorm2d(3)).train()
    result[2].eval()
    return result


def test_each_part_gets_its_own_mode_back() -> None:
    module = network()
    before = modes(module)

    def fail() -> None:
        with evaluating(module):
            assert not any(modes(module).values())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert modes(module) == before


def test_blocks_may_be_nested_and_overlap() -> None:
    module = network()
    before = modes(module)
    whole, part = evaluating(module), evaluating(module[1])
    whole.__enter__()
    part.__enter__()
    whole.__exit__(None, None, None)
    assert not any(modes(module[1]).values())
    assert modes(module[2]) == {"": False}
    part.__exit__(None, None, None)
    assert modes(module) == before


def test_the_last_thread_to_leave_restores_the_mode() -> None:
    module, entered, left = network(), Event(), Event()
    before = modes(module)

    def first() -> None:
        with evaluating(module):
            entered.set()
            assert left.wait(10)
            assert not any(modes(module).values())

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(first)
        assert entered.wait(10)
        with evaluating(module):
            pass
        assert not any(modes(module).values())
        left.set()
        other.result()
    assert modes(module) == before


def trained_model() -> ScaleProtoSeg:
    """A model left in training mode, with batch statistics and dropout in its trunk."""
    torch.manual_seed(0)
    model = small_model()
    model.backbone.module.normalisation = nn.Sequential(
        model.backbone.module.normalisation, nn.Dropout(0.5)
    )
    return model.train()


@pytest.mark.parametrize("grouped", [False, True])
def test_predicting_from_several_threads_never_changes_a_model(grouped: bool) -> None:
    model = trained_model()
    if grouped:
        model.group(2)
    model.scales.eval()
    image = torch.randn(1, 3, 16, 16)
    expected = model.predict(image)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mode = modes(model)
    region, class_index = torch.ones(1, 16, 16, dtype=torch.bool), torch.tensor([1])
    batch = {"image": image, "labels": torch.zeros(1, 16, 16).long()}
    together = Barrier(4, timeout=30)

    def use(number: int) -> None:
        together.wait()
        for _ in range(5):
            assert torch.equal(model.predict(image), expected)
            assert torch.equal(explain(model, image).prediction, expected[0])
            if number % 2:
                PrototypeAttribution(model)(image, region, class_index)
                evaluate(model, [batch])
            with pytest.raises(ValueError, match="shape"):
                explain(model, torch.randn(2, 16, 16))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert modes(model) == mode
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
