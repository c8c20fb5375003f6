"""How a command ends: by a signal, an error of a file, an error of the user, or a bug."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protoxai.cli import recipes
from protoxai.cli.main import main
from protoxai.training import Recipe, RunError
from protoxai.training.run_folder.run_record import plain_recipe
from tests.training.cases import micro, write

Act = Callable[[], object]


def before_call(
    monkeypatch: pytest.MonkeyPatch, place: str, act: Callable[[], object], number: int = 0
) -> None:
    """Do something before the call of that number."""
    module, _, name = place.rpartition(".")
    original = getattr(sys.modules[module], name)
    count = iter(range(10**6))

    def acting(*arguments: Any, **options: Any) -> Any:
        if next(count) == number:
            act()
        return original(*arguments, **options)

    monkeypatch.setattr(place, acting)


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp("trained")
    keys = {**micro(), "loggers": []}
    assert (
        main(["train", str(write(keys, folder)), "--output", str(folder / "run"), "--no-check"])
        == 0
    )
    return folder / "run"


@pytest.mark.slow
def test_a_stop_within_the_training_and_its_continuation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(write({**micro(), "baseline": True}, tmp_path))]
    arguments += ["--output", str(tmp_path / "run"), "--no-check"]
    step = "protoxai.training.stages.lightning_module.StageModule.optimizer_step"
    import protoxai.training.stages.lightning_module as module

    original, count = module.StageModule.optimizer_step, iter(range(10**6))

    def stop_in_the_baseline(self: Any, *given: Any, **options: Any) -> None:
        original(self, *given, **options)
        if next(count) == 5:
            send()

    with monkeypatch.context() as patch:
        patch.setattr(step, stop_in_the_baseline)
        assert main(arguments) == 143
    assert capsys.readouterr().err == (
        "protoxai: stopped at stage joint training, step 1; checkpoint at step 1; continue with "
        "--resume\n"
    )
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert main([*arguments, "--resume"]) == 0
    assert len(json.loads((tmp_path / "run" / "metrics.json").read_text())) == 2


@pytest.mark.slow
def test_a_stop_before_and_after_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {**micro(), "loggers": []}
    arguments = [
        "train",
        str(write(keys, tmp_path)),
        "--output",
        str(tmp_path / "run"),
        "--no-check",
    ]
    with monkeypatch.context() as patch:
        before_call(patch, "protoxai.cli.train.quiet_lightning", send)
        assert main(arguments) == 143
    assert capsys.readouterr().err == "protoxai: stopped before anything was written\n"
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        before_call(patch, "protoxai.cli.train._write_explanations", send)
        assert main(arguments) == 143
    error = capsys.readouterr().err
    assert error.startswith("protoxai: stopped after the training; ")
    assert "model and " in error
    assert error.endswith("write the rest with --resume\n")
    assert main([*arguments, "--resume"]) == 0
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_a_stop_within_an_evaluation(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import protoxai.training.evaluate_saved  # noqa: F401

    before_call(monkeypatch, "protoxai.training.evaluate_saved.evaluate", send)
    arguments = ["evaluate", str(trained), "--predictions", str(trained / "predictions")]
    assert main([*arguments, "--output", str(trained / "scores.json")]) == 143
    assert capsys.readouterr().err == (
        "protoxai: stopped in the evaluation; no scores were written; the same command starts "
        f"again; the predictions so far are in {trained / 'predictions'}\n"
    )
    assert not (trained / "scores.json").exists()


def test_a_stop_within_a_comparison_that_continues(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from protoxai.attribution import REFERENCE_MAPS
    from protoxai.metrics import metric_named

    output = tmp_path / "comparison"
    arguments = ["compare", str(trained), "--output", str(output), "--tasks", "1"]
    arguments += ["--methods", "groups", "Saliency", "--metrics", "sparseness"]

    def swallowed() -> None:
        try:
            send()
        except BaseException:
            # As libraries in other languages do.
            raise RuntimeError("an exception in a callback") from None

    kind = metric_named("sparseness")
    original, count = kind.update_from, iter(range(10**6))
    with monkeypatch.context() as patch:

        def update(self: Any, *given: Any) -> None:
            if next(count) == 1:
                swallowed()
            original(self, *given)

        patch.setattr(kind, "update_from", update)
        assert main(arguments) == 143
    captured = capsys.readouterr()
    assert captured.err == (
        f"protoxai: stopped in the comparison; 1 finished results are in {output}/results, which "
        "the same command continues\n"
    )
    assert not (output / "comparison.txt").exists()
    measured = []
    with monkeypatch.context() as patch:
        patch.setattr(kind, "update_from", lambda *given: (measured.append(1), original(*given)))
        assert main(arguments) == 0
    # The explainer that was measured before the stop is not measured again.
    assert len(measured) == 1 + len(REFERENCE_MAPS)
    assert (output / "comparison.txt").is_file()


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def a_file(tmp_path: Path) -> str:
    (tmp_path / "file").write_text("x")
    return str(tmp_path / "file")


def test_an_output_that_is_a_file(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write(micro(), tmp_path))
    for arguments in (
        ["train", recipe, "--output", a_file(tmp_path)],
        ["train", recipe, "--output", f"{a_file(tmp_path)}/run"],
        ["evaluate", str(trained), "--output", f"{a_file(tmp_path)}/scores.json"],
        ["evaluate", str(trained), "--output", str(tmp_path)],
    ):
        capsys.readouterr()
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"protoxai: {tmp_path}")
        assert ": choose another folder" in line or ": give the path of a file" in line


@pytest.mark.parametrize(
    ("place", "file"),
    [
        ("os.fsync", "environment.json"),
        ("PIL.Image.Image.save", ""),
        ("protoxai.training.runner.write_metrics", ""),
    ],
)
def test_a_full_disk(
    tmp_path: Path,
    place: str,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import protoxai.training.runner  # noqa: F401

    monkeypatch.setattr(place, full)
    recipe = str(write({**micro(), "loggers": []}, tmp_path))
    assert main(["train", recipe, "--output", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("protoxai: ")
    assert "No space left on device: free some space" in line
    assert file in line
    assert not (tmp_path / "run" / "run.lock").exists()


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(recipes, "run", fail)


@pytest.mark.parametrize("error", [ValueError("x"), TypeError("x"), KeyError("x"), RuntimeError()])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(error, monkeypatch)
    with pytest.raises(type(error)):
        main(["recipes"])


def test_an_error_of_the_library_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(RunError("the folder holds a run already"), monkeypatch)
    assert main(["recipes"]) == 2
    assert capsys.readouterr().err == "protoxai: the folder holds a run already\n"


def test_the_reader_of_a_list_may_leave() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "protoxai.cli", "recipes"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_resumed_run_records_the_keys_that_changed(trained: Path, tmp_path: Path) -> None:
    recipe = str(write({**micro(), "loggers": []}, tmp_path))
    changed = "--data.evaluation_batch_size=2"
    assert main(["train", recipe, "--output", str(trained), "--resume", changed]) == 0
    recorded = plain_recipe(Recipe.load(trained / "recipe.yaml"))
    assert recorded["data"]["evaluation_batch_size"] == 2
