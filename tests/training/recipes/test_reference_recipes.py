"""The reference recipes against the published table, and from end to end on tiny trees."""

import json

import pytest
import torch

from protoxai import ScaleProtoSeg, SparseGroupHead
from protoxai.backbones import DeepLabV2ResNet
from protoxai.cli.main import main
from protoxai.training import Recipe
from protoxai.training.stages.optimisation import (
    build_optimizer,
    build_schedule,
    train_only,
    training_mode,
)
from tests.data import trees

# Batches of 2, of which 5 make an optimizer step: Porta et al., WACV 2025, and its released code.
TABLE = {
    "pascal_voc": {
        "classes": 21,
        "crop": (321, 321),
        "scale_range": (0.5, 1.5),
        "input_scales": (0.5, 0.75),
        "batches": (15_000, 150_000, 30_000, 10_000, 150_000),
        "off_class_l1": (1e-4, 1e-3),
        "group_entropy": 0.05,
        "evaluation_size": (513, 513),
        "splits": ("trainaug", "train", "val"),
        "targets": {"": "71.80 ± 0.38", "_protoseg": "71.98 ± 0.11", "_deeplabv2": "77.69"},
    },
    "cityscapes": {
        "classes": 19,
        "crop": (513, 513),
        "scale_range": (0.5, 1.5),
        "input_scales": (),
        "batches": (15_000, 150_000, 10_000, 10_000, 150_000),
        "off_class_l1": (1e-4, 1e-3),
        "group_entropy": 0.05,
        "evaluation_size": None,
        "splits": ("train", "train", "val"),
        "targets": {"": "68.97 ± 0.25", "_protoseg": "67.54 ± 0.22", "_deeplabv2": "71.40"},
    },
    "ade20k": {
        "classes": 150,
        "crop": (512, 512),
        "scale_range": (0.5, 2.0),
        "input_scales": (),
        "batches": (30_000, 300_000, 20_000, 10_000, 150_000),
        "off_class_l1": (1e-5, 1e-4),
        "group_entropy": 0.25,
        "evaluation_size": 512,
        "splits": ("train", "train", "val"),
        "targets": {"": "34.18 ± 0.18", "_protoseg": "29.67 ± 0.23", "_deeplabv2": "34.00"},
    },
}
STAGES = ["warm-up", "joint", "last layer", "group warm-up", "group joint"]
RATES = {
    "warm-up": {"scales": 2.5e-4, "prototypes": 2.5e-4},
    "joint": {"backbone": 2.5e-5, "scales": 2.5e-4, "prototypes": 2.5e-4},
    "last layer": {"last_layer": 1e-5},
    "group warm-up": {"groups": 2.5e-4},
    "group joint": {"groups": 2.5e-4, "last_layer": 2.5e-4},
}
DECAY = {"backbone": 5e-4, "scales": 5e-4}
DECAYING = {"joint", "group joint"}


def load(name):
    return Recipe.load(name, ["--data.root=/nowhere"])


@pytest.mark.parametrize("name", TABLE)
def test_numbers_are_those_of_the_table(name):
    recipe, row = load(name), TABLE[name]
    assert recipe.method == "ScaleProtoSeg"
    assert recipe.seed == 20220227
    assert recipe.model.backbone == "deeplabv2/resnet101"
    assert recipe.model.prototypes_per_scale == 3
    assert recipe.model.atrous_rates == (6, 12, 18, 24)
    assert recipe.model.init_gain is None
    assert not recipe.model.bounded_prototypes
    assert recipe.model.input_scales == row["input_scales"]
    data = recipe.data
    assert (data.crop, data.scale_range, data.flip) == (row["crop"], row["scale_range"], 0.5)
    assert data.scale_relative_to == "image"
    assert data.evaluation_size == row["evaluation_size"]
    assert data.batch_size == 2
    assert (data.train_split, data.projection_split, data.validation_split) == row["splits"]
    assert [stage.name for stage in recipe.stages] == STAGES
    assert all(stage.accumulate_grad_batches == 5 for stage in recipe.stages)
    assert tuple(s.steps * s.accumulate_grad_batches for s in recipe.stages) == row["batches"]
    for number, stage in enumerate(recipe.stages):
        grouped = number >= 3
        expected = {"cross_entropy": 1.0, "off_class_l1": row["off_class_l1"][grouped]}
        if grouped:
            expected["group_entropy"] = row["group_entropy"]
        else:
            expected["prototype_diversity"] = 0.25
        assert stage.losses == expected
        assert stage.optimizer == "adam"
        assert stage.validate == "epoch"
    before, after = ([getattr(s, n) for s in recipe.stages] for n in ("before", "after"))
    assert before == [(), (), (), ("group",), ()]
    assert after == [(), ("project",), (), (), ("threshold",)]
    assert recipe.stages[2].patience == 100
    assert recipe.stages[3].num_groups == 3
    assert recipe.stages[4].threshold == 0.05


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("suffix", ["", "_protoseg", "_deeplabv2"])
def test_every_recipe_names_its_published_figure(name, suffix):
    recipe = load(name + suffix)
    assert TABLE[name]["targets"][suffix] in recipe.target
    assert recipe.method == {"": "ScaleProtoSeg", "_protoseg": "ProtoSeg"}.get(suffix, "DeepLabv2")


@pytest.mark.parametrize("name", TABLE)
def test_baselines_share_data_and_trunk(name):
    recipe, protoseg, deeplab = (load(name + s) for s in ("", "_protoseg", "_deeplabv2"))
    for baseline in (protoseg, deeplab):
        assert baseline.data == recipe.data
        assert baseline.model.scales == "atrous-sum"
        assert baseline.model.backbone == recipe.model.backbone
        assert baseline.model.input_scales == recipe.model.input_scales
    assert protoseg.model.prototypes_per_scale == 10
    assert [stage.name for stage in protoseg.stages] == STAGES[:3]
    assert [stage.name for stage in deeplab.stages] == STAGES[:2]
    for own, other in zip(recipe.stages, deeplab.stages, strict=False):
        assert own.steps == other.steps
        assert other.losses == {"cross_entropy": 1.0}


@pytest.mark.parametrize("number", range(5))
def test_what_a_stage_trains_and_how_fast(number):
    stage = load("pascal_voc").stages[number]
    trunk = DeepLabV2ResNet(blocks=(1, 1, 1, 1), base_width=8)
    model = ScaleProtoSeg(trunk, 3, prototypes_per_scale=1, prototype_dim=4)
    if number >= 3:
        model.group(3)
    assert isinstance(model.head, SparseGroupHead) == (number >= 3)
    train_only(model, stage)
    training_mode(model, stage)
    optimizer = build_optimizer(model, stage)
    assert type(optimizer) is torch.optim.Adam
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert {name: group["lr"] for name, group in groups.items()} == RATES[stage.name]
    for name, group in groups.items():
        assert group["weight_decay"] == DECAY.get(name, 0.0)
    owners = {
        "backbone": model.backbone,
        "scales": model.scales,
        "prototypes": model.prototype_layer,
    }
    for part, module in owners.items():
        learns = {parameter.requires_grad for parameter in module.parameters()}
        assert learns == {part in RATES[stage.name]}
    assert model.head.weight.requires_grad == ("last_layer" in RATES[stage.name])
    # The trunk's batch normalisation is frozen throughout, its affine part no parameter at all.
    assert all(p.dim() == 4 for p in model.backbone.parameters())
    schedule = build_schedule(optimizer, stage)
    for fraction in (0.0, 0.25, 0.5, 0.9):
        factor = schedule.lr_lambdas[0](round(stage.steps * fraction))
        expected = (1 - fraction) ** 0.9 if stage.name in DECAYING else 1.0
        assert factor == pytest.approx(expected)


# A small backbone for every change; with its own one a recipe writes gigabytes of checkpoints.
SMALL = ["--model.backbone=timm/test_resnet"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(
    "arguments", [SMALL, pytest.param([], marks=pytest.mark.slow)], ids=["small", "full"]
)
def test_end_to_end_on_a_tiny_tree(name, arguments, tmp_path, capsys):
    root = getattr(trees, f"make_{name}")(tmp_path / "data", images=2)
    arguments = [*arguments, f"--data.root={root}", "--data.workers=0", "--model.pretrained=false"]
    with pytest.warns(UserWarning, match=r"no pixel has class"):
        code = main(["train", name, "--smoke", f"--output={tmp_path / 'run'}", *arguments])
    assert code == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())[name]
    steps = [row["step"] for row in metrics["steps"]]
    assert steps == [*STAGES[:2], "projection", *STAGES[2:], "threshold"]
    assert metrics["steps"][0]["prototypes"] == TABLE[name]["classes"] * 12
    assert (tmp_path / "run" / "explanation.png").stat().st_size > 10_000
    assert ScaleProtoSeg.from_pretrained(tmp_path / "run" / "model").grouped
