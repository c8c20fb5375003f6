"""What is wrong with a recipe is reported before the heavy libraries load."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.cases import micro, write

HEAVY = ["captum", "lightning", "matplotlib", "scipy", "skimage", "timm", "torchmetrics"]
HEAVY += ["rich", "torchvision"]
SCRIPT = """
import sys, time
started = time.process_time()
from protoxai.cli.main import main
code = main(sys.argv[1:])
seconds = time.process_time() - started
print(code, seconds, *{name.partition(".")[0] for name in sys.modules})
"""


def start(*arguments: str) -> tuple[str, float, set[str]]:
    """Return the exit code, the processor time, and the loaded packages."""
    done = run_python(SCRIPT, *arguments)
    code, seconds, *modules = done.split()
    return code, float(seconds), set(modules)


def run_python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=["unknown key", "wrong value", "no file", "unknown loss", "unknown option"])
def wrong(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Arguments of a command that cannot run."""
    keys = micro()
    if request.param == "no file":
        return ["train", str(tmp_path / "none.yaml")]
    if request.param == "unknown option":
        return ["train", "shapes", "--data.rot=x"]
    if request.param == "unknown key":
        keys["data"]["filp"] = 1
    elif request.param == "wrong value":
        keys["seed"] = "x"
    else:
        keys["stages"][0]["losses"]["new"] = 1.0
    return ["train", str(write(keys, tmp_path))]


def test_nothing_heavy_loads_before_a_recipe_is_right(wrong: list[str]) -> None:
    code, _, modules = start(*wrong)
    assert code == "2"
    assert "protoxai" in modules
    assert not set(HEAVY) & modules


@pytest.mark.slow
def test_a_wrong_recipe_costs_little_more_than_torch(tmp_path: Path) -> None:
    recipe = str(write({**micro(), "sede": 1}, tmp_path))
    clock = "import time; s = time.process_time(); import torch; print(time.process_time() - s)"
    pairs = [(float(run_python(clock)), start("train", recipe)[1]) for _ in range(5)]
    assert statistics.median(ours / torchs for torchs, ours in pairs) <= 1.8


def test_the_package_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "protoxai.cli", "trian"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("protoxai: there is no command trian (did you mean 'train'?)")
