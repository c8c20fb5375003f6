import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from protoxai import SparseGroupHead
from protoxai.metrics import (
    ParameterRandomisation,
    parameter_randomisation,
    randomisation_layers,
)
from protoxai.metrics.explanation.parameter_randomisation import _shuffle
from tests.cases import UNEVEN
from tests.toys import small_model


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Conv2d(3, 4, 1)
        self.top = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.top(self.below(images).tanh())[:, 0]


def test_layers_from_the_top_down_prototypes_and_heads_included() -> None:
    names = randomisation_layers(small_model())
    assert names[:2] == (("head",), ("prototype_layer",))
    assert names[-1] == ("backbone.module.convolution",) or names[-1][0].startswith("backbone")
    assert all(len(step) == 1 for step in names)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 99])
def test_steps_hold_every_layer_once(steps: int) -> None:
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(6)))
    blocks = randomisation_layers(model, steps)
    assert len(blocks) == min(steps, 6)
    assert [name for block in blocks for name in block] == list("543210")
    if steps > 1:
        assert blocks[0] == ("5",)


def test_an_explainer_that_ignores_the_model_correlates_fully() -> None:
    images = torch.rand(2, 3, 4, 4)
    correlations = parameter_randomisation(Toy(), lambda x: x.sum(1), images)
    assert correlations.tolist() == [[1, 1], [1, 1]]


def test_an_explainer_that_reads_the_model_does_not() -> None:
    model, images = Toy(), torch.rand(2, 3, 8, 8)
    correlations = parameter_randomisation(model, model, images)
    assert correlations.shape == (2, 2)
    assert (correlations < 0.999).all()


class Slope(nn.Module):
    """A model whose map is a ramp, with the difference of its two parameters as slope."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = nn.Linear(2, 1, bias=False)
        self.ends.weight.data = torch.tensor([[1.0, 4.0]])

    def forward(self, images: Tensor) -> Tensor:
        low, high = self.ends.weight[0]
        ramp = torch.arange(5.0).expand(2, 5)
        return ((high - low) * ramp).expand(len(images), 2, 5)


@pytest.mark.parametrize("factor", [0.01, 1, 30])
def test_by_hand_and_whatever_the_factor(factor: float) -> None:
    model, images, slopes = Slope(), torch.rand(1, 3, 2, 5), set()
    for seed in range(6):
        ends: list[tuple[float, ...]] = []

        def explain(batch: Tensor, ends: list = ends) -> Tensor:
            ends.append(tuple(model.ends.weight[0].tolist()))
            return factor * model(batch)

        correlations = parameter_randomisation(model, explain, images, seed=seed)
        # Shuffling either keeps the two, and the ramp, or swaps them, which turns the ramp: it
        # correlates in either case.
        torch.testing.assert_close(correlations, torch.ones(1, 1).double())
        slopes.add(ends[1])
    assert slopes == {(1.0, 4.0), (4.0, 1.0)}


def test_agrees_with_scipy() -> None:
    model, images = Toy(), torch.rand(1, 3, 6, 6)
    maps: list[Tensor] = []

    def explain(batch: Tensor) -> Tensor:
        maps.append(model(batch).detach())
        return maps[-1]

    correlations = parameter_randomisation(model, explain, images)
    expected = [stats.spearmanr(maps[0].flatten(), m.flatten()).statistic for m in maps[1:]]
    assert correlations[0].tolist() == pytest.approx([abs(value) for value in expected])


@pytest.mark.parametrize(
    ("ranks", "correlation"),
    # One minus the sum of squared differences over 20.
    [([3.0, 4.0, 1.0, 2.0, 5.0], 0.2), ([3.0, 5.0, 1.0, 2.0, 4.0], 0.1), ([5.0, 4, 3, 2, 1], 1)],
)
def test_passed_below_a_fifth_at_the_last_step(ranks: list[float], correlation: float) -> None:
    original = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
    steps = iter([original, torch.tensor([[ranks]])])
    metric = ParameterRandomisation((("top",), ("below",)))
    images = torch.rand(1, 3, 1, 5)
    metric.update(Toy(), lambda x: next(steps), images, original=original)
    values = metric.compute()
    assert values["parameter_randomisation"].mean == pytest.approx(correlation)
    assert values["randomisation_passed"].mean == (correlation < 0.2)


def test_cascading_and_restored() -> None:
    model, images = Toy(), torch.rand(1, 3, 4, 4)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states: list[dict[str, Tensor]] = []

    def explain(batch: Tensor) -> Tensor:
        assert not model.training
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return batch.sum(1)

    parameter_randomisation(model, explain, images)
    original, first, second = states
    assert not torch.equal(first["top.weight"], original["top.weight"])
    assert torch.equal(first["below.weight"], original["below.weight"])
    assert torch.equal(second["top.weight"], first["top.weight"])
    assert not torch.equal(second["below.weight"], original["below.weight"])
    # Shuffling keeps the values.
    assert torch.equal(
        second["below.weight"].flatten().sort().values,
        before["below.weight"].flatten().sort().values,
    )
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_restored_after_an_error_too() -> None:
    model = Toy()
    before = model.top.weight.clone()
    calls = iter([lambda x: x.sum(1)])

    def explain(batch: Tensor) -> Tensor:
        return next(calls)(batch)

    with pytest.raises(StopIteration):
        parameter_randomisation(model, explain, torch.rand(1, 3, 2, 2))
    assert torch.equal(model.top.weight, before)


def test_groups_stay_on_the_simplex_with_their_own_prototypes() -> None:
    head = SparseGroupHead(UNEVEN, num_groups=3)
    before = head.group_weights().detach()
    _shuffle(head, torch.Generator().manual_seed(0))
    after = head.group_weights().detach()
    assert not torch.equal(after, before)
    torch.testing.assert_close(after.sum(1), torch.ones(len(after)))
    own = head.group_class[:, None] == UNEVEN.class_index
    assert not after[~own].any()
    assert torch.equal(after.sort(1).values, before.sort(1).values)


def test_both_stages_of_a_model_go_through() -> None:
    images = torch.rand(1, 3, 16, 16)
    for model in (small_model(), small_model().group()):
        correlations = parameter_randomisation(
            model, lambda x, m=model: m(x).logits.detach()[:, 0], images
        )
        assert correlations.shape == (1, len(randomisation_layers(model)))


def test_the_metric_has_the_last_step_and_whether_it_passed() -> None:
    model, images = Toy(), torch.rand(3, 3, 6, 6)
    metric = ParameterRandomisation(randomisation_layers(model))
    metric.update(model, model, images[:2], index=[0, 1])
    metric.update(model, model, images[2:], index=[2])
    rows = parameter_randomisation(model, model, images)
    values = metric.compute()
    assert values["parameter_randomisation"].mean == pytest.approx(float(rows[:, -1].mean()))
    passed = (rows[:, -1] < 0.2).double().mean()
    assert values["randomisation_passed"].mean == pytest.approx(float(passed))
    layers = metric.per_layer()
    assert list(layers) == ["top", "below"]
    assert layers["below"].mean == pytest.approx(float(rows[:, 1].mean()))
    assert metric.higher_is_better is None


def test_a_constant_map_is_undefined() -> None:
    metric = ParameterRandomisation((("top",),))
    metric.update(Toy(), lambda x: torch.ones(len(x), 2, 2), torch.rand(2, 3, 2, 2))
    assert [value.undefined for value in metric.compute().values()] == [2, 2]


def test_a_model_without_parameters_is_named() -> None:
    with pytest.raises(ValueError, match="no layers with parameters"):
        randomisation_layers(nn.ReLU())


def test_a_known_map_is_not_computed_and_changes_nothing() -> None:
    model, images, calls = Toy(), torch.rand(2, 3, 6, 6), []

    def explain(batch: Tensor) -> Tensor:
        calls.append(len(batch))
        return model(batch)

    fresh = parameter_randomisation(model, explain, images)
    assert calls == [2, 2, 2]
    calls.clear()
    maps = model(images).detach()
    assert torch.equal(parameter_randomisation(model, explain, images, original=maps), fresh)
    assert calls == [2, 2]
    # The others are compared with it.
    mirrored = parameter_randomisation(model, explain, images, original=maps.flip(1))
    assert not torch.allclose(mirrored, fresh)
    metric = ParameterRandomisation(randomisation_layers(model))
    metric.update(model, explain, images, original=maps.flip(1))
    value = metric.compute()["parameter_randomisation"].mean
    assert value == pytest.approx(float(mirrored[:, -1].mean()))
    with pytest.raises(ValueError, match=r"original: got shape \(1, 6, 6\), expected \(batch=2"):
        parameter_randomisation(model, explain, images, original=maps[:1])
