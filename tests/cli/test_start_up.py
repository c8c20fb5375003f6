"""What is wrong with a recipe is reported before the heavy libraries load."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.cases import micro, write

HEAVY = ["captum", "lightning", "matplotlib", "scipy", "skimage", "timm", "torchmetrics"]
HEAVY += ["rich", "torchvision"]
SCRIPT = """
import json, sys, time
started = time.process_time()
from protoxai.cli.main import main
codes = [main(arguments) for arguments in json.loads(sys.argv[1])]
seconds = time.process_time() - started
print(seconds, *codes, *{name.partition(".")[0] for name in sys.modules})
"""


def start(*commands: list[str]) -> tuple[float, list[str], set[str]]:
    """Return the processor time, the exit codes, and the packages that are loaded then."""
    seconds, *rest = run_python(SCRIPT, json.dumps(commands)).split()
    return float(seconds), rest[: len(commands)], set(rest[len(commands) :])


def run_python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_heavy_loads_before_a_recipe_is_right(tmp_path: Path) -> None:
    def changed(name: str, change: Callable[[dict[str, Any]], object]) -> list[str]:
        keys = micro()
        change(keys)
        (tmp_path / name).mkdir()
        return ["train", str(write(keys, tmp_path / name))]

    commands = [
        changed("unknown key", lambda keys: keys["data"].update(filp=1)),
        changed("wrong value", lambda keys: keys.update(seed="x")),
        changed("unknown loss", lambda keys: keys["stages"][0]["losses"].update(new=1.0)),
        ["train", str(tmp_path / "none.yaml")],
        ["train", "shapes", "--data.rot=x"],
    ]
    _, codes, modules = start(*commands)
    assert codes == ["2"] * len(commands)
    assert "protoxai" in modules
    assert not set(HEAVY) & modules


@pytest.mark.slow
def test_a_wrong_recipe_costs_little_more_than_torch(tmp_path: Path) -> None:
    recipe = str(write({**micro(), "sede": 1}, tmp_path))
    clock = "import time; s = time.process_time(); import torch; print(time.process_time() - s)"
    pairs = [(float(run_python(clock)), start(["train", recipe])[0]) for _ in range(3)]
    assert statistics.median(ours / torchs for torchs, ours in pairs) <= 1.8


def test_the_package_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "protoxai.cli", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("protoxai: there is no command trian (did you mean 'train'?)")
