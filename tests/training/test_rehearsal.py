"""A run is rehearsed on one batch of each kind: what cannot work fails before the first step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.cli.main import main
from protoxai.data import DATASETS
from protoxai.data.label_check import DataError
from protoxai.training import Recipe, run
from protoxai.training.build_model import build_model
from protoxai.training.feeding.loaders import Splits
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.rehearsal import rehearse
from tests.training.cases import micro, write

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """`folder(values, sizes)` writes a recipe for two splits of random labels of those values."""

    def make(values: list[int], sizes: tuple[tuple[int, int], ...] = ((64, 64),) * 2) -> Path:
        rng = np.random.default_rng(0)
        for split in ("train", "val"):
            for kind in ("images", "labels"):
                (tmp_path / split / kind).mkdir(parents=True, exist_ok=True)
            for number, size in enumerate(sizes):
                image = Image.new("RGB", size[::-1], (90, 60, 30))
                image.save(tmp_path / split / "images" / f"{number}.png")
                labels = rng.choice(values, size).astype(np.uint8)
                Image.fromarray(labels).save(tmp_path / split / "labels" / f"{number}.png")
        keys = micro()
        keys["stages"][0]["after"] = []
        keys["data"] = {
            "dataset": "folder",
            "root": str(tmp_path),
            "options": {"num_classes": 2},
            "crop": [48, 48],
        }
        return write(keys, tmp_path)

    return make


def start(recipe: Path, **options: Any) -> list[str]:
    lines: list[str] = []
    run(Recipe.load(recipe), recipe.parent / "run", log=lines.append, progress=False, **options)
    return lines


def untrained(recipe: Path) -> bool:
    return not list((recipe.parent / "run").glob("checkpoints/*.pt"))


@pytest.mark.parametrize(
    ("values", "problem"),
    [([255], "no pixel is labelled"), ([0, 255], "is of the class 'class 0'")],
)
def test_labels_that_teach_nothing_are_refused_before_training(
    folder: Folder, values: list[int], problem: str
) -> None:
    recipe = folder(values)
    with pytest.raises(DataError, match=problem):
        start(recipe)
    assert untrained(recipe)
    counts = json.loads((recipe.parent / "run" / "labels.json").read_text())
    assert problem in counts["errors"][0]


def test_counts_and_warnings_are_kept_in_the_run_folder(tmp_path: Path) -> None:
    keys = micro()
    keys["data"]["options"]["length"] = 4
    keys["stages"][0]["after"] = []
    lines = start(write(keys, tmp_path))
    counts = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert list(counts["splits"]) == ["train", "val"]
    assert counts["splits"]["train"]["read"] == 4
    absent = [name for name in counts["class_names"] if f"'{name}'" in " ".join(counts["warnings"])]
    assert absent
    assert sum(line.startswith("warning: ") for line in lines) == len(counts["warnings"])
    assert all(warning in (tmp_path / "run/log.txt").read_text() for warning in counts["warnings"])


def test_an_evaluation_that_cannot_work_fails_before_training(folder: Folder) -> None:
    recipe = folder([0, 1], ((64, 64), (60, 64)))
    keys = Recipe.load(recipe, {"data.evaluation_batch_size": 2})
    with pytest.raises(RunError, match="first batch of the evaluation fails: samples of different"):
        run(keys, recipe.parent / "run", log=lambda _: None, progress=False)
    assert untrained(recipe)


def test_the_check_can_be_skipped(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = folder([0, 255])
    output = recipe.parent / "run"
    assert main(["train", str(recipe), "--output", str(output)]) == 2
    assert "every labelled pixel" in capsys.readouterr().err
    assert main(["train", str(recipe), "--output", str(output), "--no-check"]) == 0


def test_a_rehearsal_changes_neither_the_model_nor_the_random_numbers(tmp_path: Path) -> None:
    recipe = Recipe.load(write(micro(), tmp_path))
    splits = Splits.of(recipe.data)
    model = build_model(recipe.model, splits.train)
    before = {
        name: value.clone() for name, value in model.state_dict().items() if "_extra" not in name
    }
    numbers = torch.get_rng_state()
    rehearse(model, recipe, splits)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert model.training
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_stages_are_rehearsed_with_the_head_that_they_train(tmp_path: Path) -> None:
    keys = micro()
    grouping = keys["stages"][1]
    grouping["losses"]["group_diversity"] = 0.1
    for stages in ([grouping], [keys["stages"][0], grouping]):
        recipe = Recipe.load(write({**keys, "stages": stages}, tmp_path))
        splits = Splits.of(recipe.data)
        model = build_model(recipe.model, splits.train)
        rehearse(model, recipe, splits)
        assert not model.grouped


def test_data_check_prints_the_counts_of_any_data_set(
    folder: Folder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = folder([0, 1])
    named = ["--data.dataset", "folder", "--data.root", str(tmp_path)]
    named += ["--data.options", "{num_classes: 2}"]
    printed = []
    for arguments in ([str(recipe)], named):
        assert main(["data", "check", *arguments, "--output", str(tmp_path / "x.json")]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "train (2 of 2 samples)" in printed[0]
    assert json.loads((tmp_path / "x.json").read_text())["errors"] == []
    assert main(["data", "check", str(folder([0, 255]))]) == 2
    assert capsys.readouterr().err.startswith("protoxai: train: every labelled pixel")


def test_data_check_refuses_splits_of_other_classes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plugin = tmp_path / "two_orders.py"
    plugin.write_text(
        "from protoxai.data import Shapes, register\n"
        "@register('two-orders')\n"
        "class TwoOrders(Shapes):\n"
        "    def __init__(self, split):\n"
        "        super().__init__(size=64, length=2, split=split)\n"
        "        self.class_names = self.class_names[:: 1 if split == 'train' else -1]\n"
    )
    try:
        arguments = ["data", "check", "--plugin", str(plugin), "--data.dataset=two-orders"]
        assert main(arguments) == 2
    finally:
        DATASETS.pop("two_orders", None)
    assert "have the classes in another order" in capsys.readouterr().err
