import pytest
import torch
from torch import nn

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.training import RecipeError, Stage
from protoxai.training.stages.optimisation import (
    build_optimizer,
    build_schedule,
    keep_feasible,
    part_parameters,
    train_only,
    training_mode,
)
from tests.training.cases import stage, toy_model

STAGE_1 = ("backbone", "scales", "prototypes", "last_layer")
STAGE_2 = (*STAGE_1, "groups")


@pytest.mark.parametrize("grouped", [False, True])
def test_the_parts_are_the_whole_model(grouped: bool) -> None:
    model = toy_model(grouped=grouped)
    parts = STAGE_2 if grouped else STAGE_1
    parameters = [p for part in parts for p in part_parameters(model, part)]
    assert len({id(p) for p in parameters}) == len(parameters)
    assert {id(p) for p in parameters} == {id(p) for p in model.parameters()}


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"trains the groups, which this ScaleProtoSeg does not"):
        part_parameters(toy_model(), "groups")
    black_box = LinearSegmenter(nn.Conv2d(3, 4, 3, stride=4), 2)
    with pytest.raises(RecipeError, match=r"LinearSegmenter does not have; it has backbone, scal"):
        part_parameters(black_box, "prototypes")


@pytest.mark.parametrize("part", STAGE_2)
def test_only_what_has_a_learning_rate_learns(part: str) -> None:
    model = toy_model(grouped=True)
    train_only(model, stage(learning_rates={part: 1.0}))
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    assert learning == {id(p) for p in part_parameters(model, part)}


def test_batch_normalisation_that_is_frozen_stays_so() -> None:
    model = toy_model(freeze_batchnorm=True)
    chosen = stage(learning_rates={"backbone": 1.0})
    train_only(model, chosen)
    convolution, norm = model.backbone.module[0], model.backbone.module[1]
    assert all(p.requires_grad for p in convolution.parameters())
    assert not any(p.requires_grad for p in norm.parameters())
    assert not norm.training
    (group,) = build_optimizer(model, chosen).param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in convolution.parameters()}


def test_each_part_has_its_rate_and_decay() -> None:
    model = toy_model()
    chosen = stage(
        learning_rates={"scales": 1e-3, "prototypes": 2e-3}, weight_decay={"scales": 5e-4}
    )
    train_only(model, chosen)
    groups = {group["name"]: group for group in build_optimizer(model, chosen).param_groups}
    assert {name: (g["lr"], g["weight_decay"]) for name, g in groups.items()} == {
        "scales": (1e-3, 5e-4),
        "prototypes": (2e-3, 0.0),
    }
    for name, group in groups.items():
        assert [id(p) for p in group["params"]] == [id(p) for p in part_parameters(model, name)]


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_s_decay_is_l2_and_adamw_s_is_not(kind: str) -> None:
    model = toy_model()
    chosen = stage(optimizer=kind, learning_rates={"scales": 0.01}, weight_decay={"scales": 0.5})
    train_only(model, chosen)
    optimizer = build_optimizer(model, chosen)
    weight = model.scales.branches[0].weight
    weight.data.copy_(torch.linspace(-1, 2, weight.numel()).view_as(weight))
    before = weight.detach().clone()
    for parameter in part_parameters(model, "scales"):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # Adam divides the gradient of the L2 term by its own size: one step is the learning rate.
    step = 0.01 * before.sign() if kind == "adam" else 0.01 * 0.5 * before
    torch.testing.assert_close(before - weight, step, rtol=1e-3, atol=1e-7)


def rates_of(chosen: Stage, steps: int, start: int = 0) -> list[float]:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimizer, chosen, start)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_constant_rates() -> None:
    assert rates_of(stage(steps=5), 5) == [1.0] * 5


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_polynomial_decay_reaches_zero_at_the_end(power: float) -> None:
    rates = rates_of(stage(steps=10, schedule="polynomial", power=power), 11)
    assert rates == pytest.approx([(1 - t / 10) ** power for t in range(11)])
    assert rates[-1] == 0


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    rates = rates_of(stage(steps=10, warmup_steps=4), 10)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, *[1.0] * 6])


def test_after_the_warm_up_there_is_the_decay_alone() -> None:
    chosen = stage(steps=10, schedule="polynomial", warmup_steps=3)
    rates = rates_of(chosen, 10)
    assert rates[3:] == pytest.approx([(1 - t / 10) ** 0.9 for t in range(3, 10)])
    assert rates[0] < rates[1] < rates[2] < rates[3]


def test_a_schedule_goes_on_where_it_was() -> None:
    chosen = stage(steps=10, schedule="polynomial", warmup_steps=3)
    assert rates_of(chosen, 5, start=4) == pytest.approx(rates_of(chosen, 9)[4:])


def test_every_group_follows_the_schedule() -> None:
    model = toy_model()
    chosen = stage(learning_rates={"scales": 1e-3, "prototypes": 1e-2}, warmup_steps=1)
    train_only(model, chosen)
    optimizer = build_optimizer(model, chosen)
    build_schedule(optimizer, chosen)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-4, 5e-3])


@pytest.mark.parametrize("bounded", [False, True])
def test_prototypes_are_clamped_if_bounded_and_trained(bounded: bool) -> None:
    model = toy_model(bounded_prototypes=bounded)
    model.prototype_layer.prototypes.data.copy_(torch.randn(8, 4) * 3)
    before = model.prototype_layer.prototypes.detach().clone()
    keep_feasible(model, stage(learning_rates={"scales": 1.0}))
    assert torch.equal(model.prototype_layer.prototypes, before)
    keep_feasible(model, stage(learning_rates={"prototypes": 1.0}))
    expected = before.clamp(0, 1) if bounded else before
    assert torch.equal(model.prototype_layer.prototypes, expected)


def test_groups_come_back_onto_the_simplex_if_trained() -> None:
    model = toy_model(grouped=True)
    model.head.threshold_(0.3)
    thresholded = model.head.group_parameter.detach().clone()
    keep_feasible(model, stage(learning_rates={"last_layer": 1.0}))
    assert torch.equal(model.head.group_parameter, thresholded)
    model.head.group_parameter.data += torch.randn_like(thresholded)
    keep_feasible(model, stage(learning_rates={"groups": 1.0}))
    weights = model.head.group_weights()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(4))


@pytest.mark.parametrize(
    ("parts", "frozen"),
    [
        (("backbone", "scales", "prototypes"), set()),
        (("scales", "prototypes"), {"backbone"}),
        (("last_layer",), {"backbone", "scales"}),
    ],
)
def test_the_statistics_of_frozen_parts_stand_still(parts, frozen: set[str]) -> None:
    model = toy_model().eval()
    training_mode(model, stage(learning_rates=dict.fromkeys(parts, 1.0)))
    assert model.training
    for name in ("backbone", "scales"):
        modes = {module.training for module in getattr(model, name).modules()}
        assert modes == {name not in frozen}


def test_statistics_that_the_model_froze_stay_so_in_training_mode() -> None:
    model = toy_model(freeze_batchnorm=True)
    training_mode(model, stage())
    assert not model.backbone.module[1].training
    assert model.backbone.module[0].training


def test_a_black_box_is_feasible_as_it_is() -> None:
    black_box = LinearSegmenter(nn.Conv2d(3, 4, 3, stride=4), 2)
    before = {name: value.clone() for name, value in black_box.state_dict().items()}
    keep_feasible(black_box, stage())
    assert all(torch.equal(value, before[name]) for name, value in black_box.state_dict().items())
    assert not isinstance(black_box, ScaleProtoSeg)
