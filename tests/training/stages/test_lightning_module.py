from collections.abc import Sequence
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.losses import ScaleProtoSegLoss
from protoxai.model.segmenter import Segmenter
from protoxai.training import Stage
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages.lightning_module import StageModule
from protoxai.training.stages.optimisation import part_parameters
from tests.training.cases import stage, toy_batches, toy_model

PARTS = ("backbone", "scales", "prototypes", "last_layer", "groups")


class Watch(lightning.Callback):
    """Keeps what `look` sees of the module after every batch."""

    def __init__(self, look=lambda module: None) -> None:
        self.look = look
        self.recorded: list[Any] = []
        self.rates: list[list[float]] = []
        self.modes: list[list[bool]] = []

    def on_train_batch_start(self, trainer: lightning.Trainer, module: StageModule, *_) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        self.modes.append([m.training for m in (module.model.backbone, module.model.scales)])

    def on_train_batch_end(self, trainer: lightning.Trainer, module: StageModule, *_) -> None:
        self.recorded.append(self.look(module))


# The loaders of these tests have no workers and a single batch or two; frozen parts are in
# evaluation mode on purpose; the rest is between Lightning and torch.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def train(
    model: Segmenter,
    chosen: Stage,
    batches: Sequence[dict[str, Tensor]] | None = None,
    *callbacks: lightning.Callback,
    losses: dict[str, float] | None = None,
    **options: Any,
) -> lightning.Trainer:
    count = chosen.steps * chosen.accumulate_grad_batches
    criterion = ScaleProtoSegLoss(**{"prototype_diversity": 0.0, **(losses or {})})
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        accumulate_grad_batches=chosen.accumulate_grad_batches,
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(batches or toy_batches(count), batch_size=None)
    trainer.fit(StageModule(model, chosen, criterion, **{"log_every": 1, **options}), loader)
    return trainer


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize(
    "parts",
    [
        ("scales", "prototypes"),
        ("backbone",),
        ("prototypes",),
        ("backbone", "scales", "prototypes"),
        ("last_layer",),
        ("groups",),
        ("groups", "last_layer"),
    ],
    ids="+".join,
)
def test_what_is_trained_moves_and_the_rest_stands_still_bit_by_bit(parts) -> None:
    model = toy_model(grouped="groups" in parts)
    chosen = stage(learning_rates=dict.fromkeys(parts, 1e-2))
    before = state(model)
    names = {id(p): name for name, p in model.named_parameters()}
    expected = {names[id(p)] for part in parts for p in part_parameters(model, part)}
    if "backbone" in parts:
        norm = "backbone.module.1."
        expected |= {norm + "running_mean", norm + "running_var", norm + "num_batches_tracked"}
    train(model, chosen)
    assert changed(model, before) == expected


def test_frozen_batch_normalisation_does_not_move_in_a_trunk_that_learns() -> None:
    model = toy_model(freeze_batchnorm=True)
    before = state(model)
    train(model, stage())
    assert "backbone.module.0.weight" in changed(model, before)
    assert not [name for name in changed(model, before) if name.startswith("backbone.module.1.")]


def test_modes_are_right_whatever_the_model_s_was() -> None:
    for parts, modes in ((("backbone", "scales"), [True, True]), (("scales",), [False, True])):
        watch = Watch()
        train(toy_model().eval(), stage(learning_rates=dict.fromkeys(parts, 1e-3)), None, watch)
        assert watch.modes == [modes] * 3


def test_group_weights_are_on_the_simplex_after_every_step() -> None:
    model = toy_model(grouped=True)
    watch = Watch(lambda module: module.model.head.group_weights().detach())
    train(model, stage(steps=4, learning_rates={"groups": 0.3}), None, watch)
    assert len(watch.recorded) == 4
    for weights in watch.recorded:
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert not torch.equal(watch.recorded[0], watch.recorded[-1])


@pytest.mark.parametrize("bounded", [False, True])
def test_prototypes_leave_the_unit_cube_unless_bounded(bounded: bool) -> None:
    model = toy_model(bounded_prototypes=bounded)
    watch = Watch(lambda module: module.model.prototype_layer.prototypes.detach().clone())
    train(model, stage(learning_rates={"prototypes": 2.0}), None, watch)
    inside = [bool(((p >= 0) & (p <= 1)).all()) for p in watch.recorded]
    assert inside == [bounded] * 3


def test_rates_follow_the_optimizer_s_steps_not_the_batches() -> None:
    watch = Watch()
    chosen = stage(
        steps=3,
        accumulate_grad_batches=2,
        schedule="polynomial",
        learning_rates={"prototypes": 0.5},
    )
    trainer = train(toy_model(), chosen, None, watch)
    assert trainer.global_step == 3
    decay = [0.5 * (1 - t / 3) ** 0.9 for t in range(3)]
    assert [rate for (rate,) in watch.rates] == pytest.approx([r for r in decay for _ in range(2)])


def test_accumulated_batches_are_one_large_batch() -> None:
    batches = toy_batches(2)
    complete = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    ends = []
    for accumulate, data in ((2, batches), (1, [complete])):
        torch.manual_seed(1)
        model = toy_model()
        chosen = stage(
            steps=1, accumulate_grad_batches=accumulate, learning_rates={"last_layer": 1e-2}
        )
        before = model.head.weight.detach().clone()
        train(model, chosen, data)
        ends.append(model.head.weight.detach() - before)
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-5)


def test_every_term_is_logged() -> None:
    model = toy_model(grouped=True)
    logged = train(
        model,
        stage(learning_rates={"groups": 1e-2}),
        losses={"group_entropy": 0.05, "off_class_l1": 1e-3},
    ).callback_metrics
    terms = {"cross_entropy", "group_entropy", "off_class_l1", "loss"}
    assert terms <= {name.removeprefix("train/") for name in logged}
    values = {name.removeprefix("train/"): float(value) for name, value in logged.items()}
    weighted = values["cross_entropy"] + 0.05 * values["group_entropy"]
    weighted += 1e-3 * values["off_class_l1"]
    assert values["loss"] == pytest.approx(weighted, rel=1e-5)


def test_embeddings_train_the_head_as_images_do() -> None:
    batches = toy_batches(3)
    ends = []
    for cached in (False, True):
        torch.manual_seed(1)
        model = toy_model(grouped=True).eval()
        data = batches
        if cached:
            with torch.no_grad():
                data = [
                    {"embedding": model.embed(b["image"]), "labels": b["labels"]} for b in batches
                ]
        chosen = stage(learning_rates={"groups": 1e-2, "last_layer": 1e-2})
        train(model, chosen, data, losses={"group_entropy": 0.1})
        ends.append(state(model.head))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-6)


def test_a_black_box_learns() -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.ReLU())
    model = LinearSegmenter(trunk, 2, atrous_rates=(1, 2), init_gain=1.0)
    batches = toy_batches(1) * 40
    watch = Watch(lambda module: float(module.trainer.callback_metrics["train/loss"]))
    rates = {"backbone": 1e-2, "scales": 1e-2}
    train(model, stage(steps=40, learning_rates=rates), batches, watch)
    assert watch.recorded[-1] < 0.5 * watch.recorded[0]


def test_input_scales_train() -> None:
    model = toy_model(input_scales=(0.5,))
    before = state(model)
    train(model, stage(), losses={"prototype_diversity": 0.25})
    assert "scales.branches.0.weight" in changed(model, before)


def test_images_come_in_channels_last_order() -> None:
    module = StageModule(toy_model(), stage(), ScaleProtoSegLoss())
    batch = toy_batches(1)[0]
    images = batch["image"].clone()
    moved = module.transfer_batch_to_device(batch, torch.device("cpu"), 0)
    assert moved["image"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(moved["image"], images)
    embedded = {"embedding": torch.rand(1, 2, 4, 3, 3), "labels": batch["labels"]}
    same = module.transfer_batch_to_device(embedded, torch.device("cpu"), 0)
    assert torch.equal(same["embedding"], embedded["embedding"])


def test_training_on_each_device(device: torch.device) -> None:
    module = StageModule(toy_model(), stage(), ScaleProtoSegLoss()).to(device)
    module._log_terms = lambda *_: None
    batch = module.transfer_batch_to_device(toy_batches(1)[0], device, 0)
    module.training_step(batch, 0).backward()
    gradient = module.model.prototype_layer.prototypes.grad
    assert gradient.device.type == device.type
    assert gradient.isfinite().all()


def test_a_loss_that_is_not_finite_stops_with_the_images_named() -> None:
    batch = {**toy_batches(1)[0], "id": ["berlin_1", "berlin_2"]}
    batch["image"] = batch["image"] * torch.nan
    module = StageModule(toy_model(), stage(name="warm-up"), ScaleProtoSegLoss(), start=7)
    message = (
        r"stage warm-up, step 7: the loss is not finite \(.*cross_entropy nan.*berlin_1, berlin"
    )
    with pytest.raises(RunError, match=message):
        module.training_step(batch, 0)


def test_a_stage_goes_on_where_it_was() -> None:
    batches = toy_batches(4)
    chosen = stage(
        steps=4, schedule="polynomial", learning_rates={"scales": 1e-2, "backbone": 1e-2}
    )

    def dropping() -> ScaleProtoSeg:
        torch.manual_seed(1)
        model = toy_model()
        model.backbone.module.append(nn.Dropout(0.5))
        return model

    complete = dropping()
    train(complete, chosen, batches)

    halted = dropping()
    first = train(halted, chosen, batches[:2])
    state = first.optimizers[0].state_dict()
    torch.manual_seed(99)
    watch = Watch()
    train(halted, chosen, batches[2:], watch, start=2, optimizer_state=state)
    assert watch.rates[0] == pytest.approx([1e-2 * 0.5**0.9] * 2)
    assert changed(halted, complete.state_dict()) == set()


def test_rates_and_the_state_of_the_head_are_logged() -> None:
    model = toy_model(grouped=True)
    rates = {"groups": 1e-2, "last_layer": 1e-3}
    trainer = train(model, stage(learning_rates=rates))
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged["learning_rate/groups"] == pytest.approx(1e-2)
    assert logged["learning_rate/last_layer"] == pytest.approx(1e-3)
    assert 0 < logged["prototypes/active"] <= 8
    assert 0 <= logged["prototypes/group_entropy"] <= 1
