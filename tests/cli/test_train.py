"""`protoxai train` and `protoxai demo`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.image import imread
from torch import distributed

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.cli import demo, train
from protoxai.cli.main import main
from tests.training.cases import micro, write

TABLE_STEPS = ["joint training", "projection", "grouping", "threshold", "joint training"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What `protoxai train` and `protoxai demo` would run, in place of running it."""
    recorded: list[tuple[Any, ...]] = []

    def record(*arguments: object, **options: object) -> int:
        recorded.append((arguments, options))
        return 0

    monkeypatch.setattr(train, "train", record)
    monkeypatch.setattr(demo, "train", record)
    return recorded


def test_the_demo_is_the_shapes_recipe(calls: list[tuple[Any, ...]]) -> None:
    assert main(["demo"]) == 0
    assert main(["demo", "--output", "here"]) == 0
    assert main(["demo", "--output", "here", "--resume"]) == 0
    here = ("shapes", Path("here"))
    assert calls == [
        (("shapes", None), {"resume": False}),
        (here, {"resume": False}),
        (here, {"resume": True}),
    ]


def test_keys_of_the_recipe_are_options_anywhere(calls: list[tuple[Any, ...]]) -> None:
    arguments = ["--data.root=/data", "camvid", "--output", "out", "--seed", "3"]
    assert main(["train", *arguments, "--data.crop=[32, 48]", "--data.evaluation_size=null"]) == 0
    arguments = ["my.yaml", "--smoke", "--resume", "--output", "out", "--seeds", "5"]
    assert main(["train", *arguments]) == 0
    first, second = calls
    keys = {"data.root": "/data", "seed": 3, "data.crop": (32, 48), "data.evaluation_size": None}
    assert first[0] == ("camvid", Path("out"), keys)
    single = {"plugins": (), "resume": False, "smoke": False, "check": True, "seeds": None}
    assert first[1] == single
    assert second[0] == ("my.yaml", Path("out"), {})
    assert second[1] == {**single, "resume": True, "smoke": True, "seeds": 5}


def test_the_process_group_ends_however_training_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = distributed.init_process_group

    def alone(backend: str) -> None:
        begin(backend, init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)

    def interrupted(*_: object, **__: object) -> None:
        assert distributed.is_initialized()
        raise KeyboardInterrupt

    launched = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "init_process_group", alone)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("protoxai.training.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["train", str(write(micro(), tmp_path)), "--output", str(tmp_path / "run")])
    assert not distributed.is_initialized()


def test_a_run_leaves_its_files_and_prints_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    path = write({**micro(), "baseline": True}, tmp_path)
    assert main(["train", str(path), "--output", str(output), "--seed=3"]) == 0

    metrics = json.loads((output / "metrics.json").read_text())
    assert list(metrics) == ["micro", "micro-deeplabv2"]
    steps = [step["step"] for run in metrics.values() for step in run["steps"]]
    assert steps == TABLE_STEPS
    assert ScaleProtoSeg.from_pretrained(output / "model").grouped
    LinearSegmenter.from_pretrained(output / "baseline" / "model")
    picture = imread(output / "explanation.png")[..., :3]
    assert picture.std() > 0.05
    assert (output / "mistake.png").is_file()
    report = (output / "report.html").read_text(encoding="utf-8")
    assert "shapes, split val" in report

    shown = capsys.readouterr().out
    for name in ("ScaleProtoSeg", "DeepLabv2", "mIoU", "active", str(output)):
        assert name in shown
    rows = [line for line in shown.splitlines() if line.startswith("│")]
    assert len(rows) == len(steps)
    for row, step in zip(rows, steps, strict=True):
        assert step in row
    last = metrics["micro"]["steps"][-1]
    for cell in (f"{100 * last['mean_iou']:.1f}", str(last["active_prototypes"])):
        assert cell in rows[3]


def test_without_a_baseline_there_is_one_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = micro()
    keys["stages"] = keys["stages"][:1]
    assert main(["train", str(write(keys, tmp_path))]) == 0
    (output,) = (tmp_path / "runs").iterdir()
    assert output.name.startswith("micro-")
    assert (output / "explanation.png").is_file()
    shown = capsys.readouterr().out
    # By this name the run can be resumed.
    assert f"folder of the run: {output.relative_to(tmp_path)}\n" in shown
    assert "DeepLabv2" not in shown
    assert not (output / "baseline").exists()
