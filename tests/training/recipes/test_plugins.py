"""Users' own data sets and losses in recipes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from protoxai.training import Recipe, RecipeError
from tests.training.cases import micro, write

DATA = '''
import torch

from protoxai.data import RawSample, SegmentationDataset, register


@register("my-stripes")
class Stripes(SegmentationDataset):
    """Images with a dark and a bright half."""

    def __init__(self, split="train"):
        super().__init__(("dark", "bright"))
        self.split = split

    def __len__(self):
        return 4

    def raw(self, index):
        labels = torch.zeros(64, 64, dtype=torch.int64)
        labels[:, 32:] = 1
        image = (150 * labels + 10 * index)[None].expand(3, -1, -1).to(torch.uint8)
        return RawSample(image, labels, id=f"{self.split}-{index}")
'''
LOSS = """
from protoxai.losses import register_loss


@register_loss("mean_activation")
def mean_activation(output, labels, head, ignore_index):
    return output.activations.mean()
"""


def own_recipe(folder: Path) -> dict[str, Any]:
    """Write the plugins, and return a recipe that names their data set and their loss."""
    (folder / "own").mkdir()
    (folder / "own" / "my_stripes.py").write_text(DATA)
    (folder / "my_loss.py").write_text(LOSS)
    keys = micro()
    keys["data"].update(dataset="my-stripes", options={})
    keys["stages"] = keys["stages"][:1]
    keys["stages"][0]["losses"]["mean_activation"] = 0.1
    return keys


def protoxai(folder: Path, *arguments: object) -> str:
    """Run a command in a fresh process, which knows none of the plugins."""
    done = subprocess.run(
        [sys.executable, "-m", "protoxai.cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_own_data_and_losses_train_and_are_found_again(tmp_path: Path) -> None:
    keys = {**own_recipe(tmp_path), "plugins": ["own/my_stripes.py"]}
    path = write(keys, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    plugin = ["--plugin", "../my_loss.py"]
    protoxai(tmp_path / "elsewhere", "train", path, *plugin, "--output", tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["micro"]
    assert metrics["class_names"] == ["dark", "bright"]
    (log,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    assert "train/mean_activation" in log.read_text().partition("\n")[0].split(",")
    recorded = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["plugins"]
    assert recorded == [str(tmp_path / "own" / "my_stripes.py"), str(tmp_path / "my_loss.py")]
    assert protoxai(Path("/"), "evaluate", tmp_path / "run").startswith("mIoU ")
    data = ["--data.dataset=my-stripes", "--plugin", tmp_path / "own" / "my_stripes.py"]
    assert protoxai(Path("/"), "evaluate", tmp_path / "run" / "model", *data).startswith("mIoU ")


def test_without_the_plugin_the_names_are_unknown(tmp_path: Path) -> None:
    path = write(own_recipe(tmp_path), tmp_path)
    with pytest.raises(RecipeError, match="losses has no 'mean_activation'"):
        Recipe.load(path)


def test_a_plugin_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write({**micro(), "plugins": ["none.py"]}, tmp_path)
    with pytest.raises(ValueError, match=rf"there is no plugin {tmp_path}/none\.py: give the path"):
        Recipe.load(path)
    with pytest.raises(ValueError, match=r"the plugin no_such_module cannot be imported"):
        Recipe.load(write(micro(), tmp_path), ["--plugins=[no_such_module]"])
