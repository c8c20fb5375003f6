"""The promises of CONTRIBUTING: templates work from outside, and within by the listed places."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from protoxai import ScaleProtoSeg
from protoxai.attribution import explainer_named
from protoxai.comparison import compare, select_tasks
from protoxai.data import create_dataset, evaluation_transform
from protoxai.losses import ScaleProtoSegLoss
from protoxai.runtime.plugins import import_plugin
from protoxai.training import Recipe, run

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TEMPLATES = ROOT / "docs" / "templates"
pytestmark = pytest.mark.usefixtures("_plugins_forgotten")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The templates, copied to a folder outside of the package."""
    return shutil.copytree(TEMPLATES, tmp_path / "outside")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four images of each split whose right half is a plant, with a row that has no label."""
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[:, 32:] = 1
    labels[0] = 9
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for number in range(4):
            noise = random.integers(0, 60, (64, 64, 3))
            pixels = noise + 150 * (labels == 1)[..., None] * np.array([0, 1, 0])
            name = f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / split / "images" / name)
            Image.fromarray(labels).save(tmp_path / split / "labels" / name)
    return tmp_path


def toy_model() -> ScaleProtoSeg:
    return ScaleProtoSeg(nn.Conv2d(3, 8, 8, stride=8), num_classes=2, prototype_dim=4)


def table_rows() -> dict[str, list[str]]:
    """The rows of the table of what can be added: its name, then the paths of each cell."""
    section = GUIDE.partition("## Adding something")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("|")]
    return {row[0].strip(): [path for cell in row[1:] for path in _paths(cell)] for row in rows[2:]}


def _paths(text: str) -> list[str]:
    return re.findall(r"`([\w./-]+/[\w./-]*)`", text)


def test_every_path_of_the_guide_exists() -> None:
    rows = table_rows()
    assert set(rows) == {"loss", "metric", "explainer", "data set", "backbone family", "recipe"}
    assert all(len(paths) >= 3 for paths in rows.values())
    mentioned = {path for path in _paths(GUIDE) if not path.startswith(("path/", "runs/", "site/"))}
    missing = [path for path in mentioned if not (ROOT / path).exists()]
    assert not missing


def test_every_template_is_in_the_guide() -> None:
    listed = {path for paths in table_rows().values() for path in paths}
    templates = {f"docs/templates/{path.name}" for path in TEMPLATES.iterdir() if path.is_file()}
    assert templates == {path for path in listed if path.startswith("docs/templates/")}


def test_loss_from_outside(outside: Path) -> None:
    import_plugin(str(outside / "loss.py"))
    model, labels = toy_model(), torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[:, 16:] = 255
    loss = ScaleProtoSegLoss(prototype_diversity=0, mean_activation=2.0)
    output = model(torch.rand(1, 3, 32, 32))
    terms = loss(output, labels, model.head)
    torch.testing.assert_close(terms["mean_activation"], output.activations[:, :, :2].mean())
    expected = terms["cross_entropy"] + 2 * terms["mean_activation"]
    torch.testing.assert_close(terms["loss"], expected)
    assert "mean_activation=2.0" in repr(loss)


def test_metric_and_explainer_from_outside(outside: Path, scans: Path) -> None:
    for name in ("metric", "explainer", "dataset"):
        import_plugin(str(outside / f"{name}.py"))
    model = toy_model()
    transform = evaluation_transform(None, mean=model.mean, std=model.std)
    tasks = select_tasks(create_dataset("my_scans", root=scans, transform=transform), tasks=2)
    explainer = explainer_named("input_gradient").create(model)
    table = compare([explainer], tasks, metrics=["negative_share", "cost"], log=lambda line: None)
    assert [result.failure for result in table.results] == ["", ""]
    assert "negative_share" in table.figures
    assert "input_gradient" in table.to_text()


def test_data_set_from_outside(outside: Path, scans: Path) -> None:
    import_plugin(str(outside / "dataset.py"))
    dataset = create_dataset("my-scans", root=scans, split="val")
    assert (len(dataset), dataset.class_names) == (4, ("ground", "plant"))
    assert dataset[0]["labels"].unique().tolist() == [0, 1, 255]
    with pytest.raises(ValueError, match=r"there is no image in .*test"):
        create_dataset("my_scans", root=scans, split="test")


def test_backbone_from_outside(outside: Path) -> None:
    import_plugin(str(outside / "backbone.py"))
    model = ScaleProtoSeg("stripes/small", num_classes=2, pretrained=False, output_stride=16)
    assert model.backbone.channels == (16,)
    assert model(torch.rand(1, 3, 64, 64)).logits.shape == (1, 2, 4, 4)
    with pytest.raises(ValueError, match="did you mean 'stripes/small'"):
        ScaleProtoSeg("stripe/small", num_classes=2)


def test_recipe_from_outside_trains(outside: Path, scans: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text(
        f"extends: {outside / 'recipe.yaml'}\n"
        "name: short\n"
        "loggers: [csv]\n"
        f"data: {{root: {scans}, crop: [64, 64], batch_size: 2}}\n"
        "stages: {joint: {steps: 2}, groups: {steps: 2}}\n"
    )
    recipe = Recipe.load(short)
    assert recipe.stages[0].losses["mean_activation"] > 0
    result = run(recipe, tmp_path / "run", progress=False)
    assert 0 <= result.rows[-1].scores.mean_iou <= 1
    assert (tmp_path / "run" / "model" / "config.json").is_file()


def _lint(path: Path) -> None:
    """Check that imported names are exported; the order of names is ruff's to correct."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


WITHIN = """
from protoxai import ScaleProtoSeg
from protoxai.attribution import explainer_named
from protoxai.data import create_dataset
from protoxai.losses import ScaleProtoSegLoss
from protoxai.metrics import metric_named, registered_metrics
from protoxai.training import Recipe

print(ScaleProtoSegLoss(mean_activation=1.0))
print("negative_share" in registered_metrics(), metric_named("negative_share").__module__)
print(explainer_named("input_gradient").create.__module__)
print(create_dataset("my_scans", root={scans!r}))
print(ScaleProtoSeg("stripes/small", num_classes=2, pretrained=False).backbone.channels)
print(Recipe.load("my_scans").data.dataset)
"""


def test_rows_of_the_guide_are_complete(scans: Path, tmp_path: Path) -> None:
    """Follow every row in a copy of the package: the listed places and no others."""
    copy = tmp_path / "copy"
    for folder in ("protoxai", "benchmarks/recipes"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    names = {
        "loss": "mean_activation.py",
        "metric": "negative_share.py",
        "explainer": "input_gradient.py",
        "data set": "my_scans.py",
        "backbone family": "stripes.py",
        "recipe": "my_scans.yaml",
    }
    # Sorted imports are the hardest case: the new module is imported before all others.
    lines = {
        "loss": (
            "\n\n",
            "\n\nfrom protoxai.losses.mean_activation import MeanActivationLoss\n",
        ),
        "metric": (
            "\nfrom ",
            (
                "\nfrom protoxai.metrics.explanation.negative_share import (\n"
                "    NegativeShare as NegativeShare,\n)\nfrom "
            ),
        ),
        "explainer": (
            "\n\n",
            "\n\nfrom protoxai.attribution.input_gradient import InputGradient\n",
        ),
        "backbone family": (
            "BUILT_IN = {",
            'BUILT_IN = {\n    "stripes": "protoxai.backbones.stripes",',
        ),
    }
    for kind, (template, folder, *rest) in table_rows().items():
        text = (ROOT / template).read_text(encoding="utf-8")
        if kind == "recipe":
            text = re.sub("(?m)^plugins:.*$", "", text)
        (copy / folder / names[kind]).write_text(text, encoding="utf-8")
        edited = [path for path in rest if not path.startswith("tests/")]
        assert len(edited) == (kind in lines)
        for path in edited:
            before, after = lines[kind]
            content = (copy / path).read_text(encoding="utf-8")
            assert before in content
            content = content.replace(before, after, 1)
            for name in re.findall(r"import (.+)\n", after) if "__all__ = [" in content else ():
                listed = "".join(f"    {each!r},\n" for each in name.split(", "))
                content = content.replace("__all__ = [\n", f"__all__ = [\n{listed}", 1)
            (copy / path).write_text(content, encoding="utf-8")
            _lint(copy / path)
    finished = subprocess.run(
        [sys.executable, "-c", WITHIN.format(scans=str(scans))],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.stdout.splitlines() == [
        "ScaleProtoSegLoss(cross_entropy=1.0, prototype_diversity=0.25, mean_activation=1.0)",
        "True protoxai.metrics.explanation.negative_share",
        "protoxai.attribution.input_gradient",
        "MyScans(4 samples, 2 classes)",
        "(16,)",
        "my_scans",
    ], finished.stderr
