"""What the reference recipes train, and each of them from end to end on a tiny tree."""

import json
from dataclasses import replace

import pytest
import torch

from protoxai import ScaleProtoSeg, SparseGroupHead
from protoxai.backbones import DeepLabV2ResNet
from protoxai.cli.main import main
from protoxai.training import Recipe, run
from protoxai.training.stages.optimisation import (
    build_optimizer,
    build_schedule,
    train_only,
    training_mode,
)
from tests.data import trees

CLASSES = {"pascal_voc": 21, "cityscapes": 19, "ade20k": 150, "coco_stuff": 182, "em": 2}
COMPARED = ("pascal_voc", "cityscapes", "ade20k")
"""Data sets with recipes of ProtoSeg and DeepLabv2 too."""
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


@pytest.mark.parametrize("name", COMPARED)
def test_baselines_share_data_and_trunk(name):
    recipe, protoseg, deeplab = (load(name + s) for s in ("", "_protoseg", "_deeplabv2"))
    methods = [r.method for r in (recipe, protoseg, deeplab)]
    assert methods == ["ScaleProtoSeg", "ProtoSeg", "DeepLabv2"]
    for baseline in (protoseg, deeplab):
        assert baseline.data == recipe.data
        assert baseline.model.backbone == recipe.model.backbone
        assert baseline.model.input_scales == recipe.model.input_scales


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
FEW_CLASSES = "ignore:no pixel has class"
"""The tiny trees hold some of the classes only."""
NO_PROTOTYPE = "ignore:pruning leaves no prototype"


def tiny_tree(name, folder):
    """Return the arguments for a recipe's data: a tiny tree of its data set, if it has files."""
    dataset = name.removesuffix("_protoseg").removesuffix("_deeplabv2")
    if dataset == "shapes":
        return ["--data.options={size: 128, length: 4}"]
    # The recipe of EM names slices up to the 29th.
    images = 24 if dataset == "em" else 2
    root = getattr(trees, f"make_{dataset}")(folder / "data", images=images)
    return [f"--data.root={root}"]


def smoke(name, arguments, folder, capsys):
    """Run a recipe's smoke test on tiny data, and return what it measured."""
    given = [*arguments, *tiny_tree(name, folder), "--data.workers=0", "--model.pretrained=false"]
    code = main(["train", name, "--smoke", f"--output={folder / 'run'}", *given])
    assert code == 0, capsys.readouterr().err
    return json.loads((folder / "run" / "metrics.json").read_text())


def steps_of(metrics):
    return [row["step"] for row in metrics["steps"]]


@pytest.mark.filterwarnings(FEW_CLASSES)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *[pytest.param(name, SMALL, id=f"{name}-small") for name in CLASSES],
        # COCO-Stuff has the trunk of Pascal VOC, and batches of 10.
        *[pytest.param(name, [], id=f"{name}-full") for name in CLASSES if name != "coco_stuff"],
    ],
)
def test_end_to_end_on_a_tiny_tree(name, arguments, tmp_path, capsys):
    metrics = smoke(name, arguments, tmp_path, capsys)[name]
    stages = [stage.name for stage in load(name).stages]
    after = stages.index("joint") + 1
    assert steps_of(metrics) == [*stages[:after], "projection", *stages[after:], "threshold"]
    assert metrics["steps"][0]["prototypes"] == CLASSES[name] * 12
    assert (tmp_path / "run" / "explanation.png").stat().st_size > 10_000
    assert ScaleProtoSeg.from_pretrained(tmp_path / "run" / "model").grouped


PRUNED = ["warm-up", "joint", "projection", "last layer", "pruning", "last layer again"]
OF_METHOD = {"protoseg": PRUNED, "deeplabv2": ["warm-up", "joint"]}


@pytest.mark.filterwarnings(FEW_CLASSES, NO_PROTOTYPE)
@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("method", OF_METHOD)
def test_baselines_end_to_end(name, method, tmp_path, capsys):
    name = f"{name}_{method}"
    assert steps_of(smoke(name, SMALL, tmp_path, capsys)[name]) == OF_METHOD[method]


GROUPED = ["joint training", "projection", "grouping", "threshold"]


@pytest.mark.filterwarnings(FEW_CLASSES)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("camvid", {"camvid": GROUPED, "camvid-deeplabv2": ["joint training"]}),
        ("camvid_protoseg", {"camvid_protoseg": ["joint training", "projection", "last layer"]}),
        ("camvid_deeplabv2", {"camvid_deeplabv2": ["joint training"]}),
        ("shapes", {"shapes": GROUPED, "shapes-deeplabv2": ["joint training"]}),
    ],
)
def test_recipes_for_two_cores_end_to_end(name, steps, tmp_path, capsys):
    metrics = smoke(name, [], tmp_path, capsys)
    assert {model: steps_of(of_model) for model, of_model in metrics.items()} == steps


@pytest.mark.filterwarnings(FEW_CLASSES, NO_PROTOTYPE)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pascal_voc", "cityscapes_protoseg"])
def test_projection_at_native_size_end_to_end(name, tmp_path):
    given = [*SMALL, *tiny_tree(name, tmp_path), "--data.workers=0", "--model.pretrained=false"]
    recipe = Recipe.load(name, given)
    assert recipe.data.projection_size == "native"
    # A smoke run projects squares, so that it is short on a whole data set too.
    smoke = replace(recipe.smoke(), data=replace(recipe.smoke().data, projection_size="native"))
    result = run(smoke, tmp_path / "run", log=lambda _: None, progress=False)
    grids = {entry.grid for entry in result.model.provenance if entry.projected}
    assert grids
    assert all(height < width for height, width in grids), "the images are 60 x 80"
