"""`protoxai compare`: names that match nothing, and tables on consoles without arrows."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from protoxai import ScaleProtoSeg, comparison
from protoxai.cli.main import main
from protoxai.data import Shapes

DATA = ["--data.dataset=shapes", "--data.options={size: 64, length: 2}"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    names = Shapes(length=2, size=64).class_names
    options = {"prototype_dim": 4, "pretrained": False, "class_names": names}
    ScaleProtoSeg("timm/test_resnet", len(names), **options).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--skip", "background", "flowr"],
            "--skip: there is no class 'flowr' (did you mean",
        ),
        (["--skip", "0"], "--skip: there is no class '0'; the classes are background, "),
        (["--methods", "groups", "Saliency"], "groups cannot explain any of the models"),
        (["--methods", "Salience"], "there is no explainer 'Salience' (did you mean 'Saliency'?)"),
        (["--methods", "Saliency", "--metrics", "cots"], "there is no metric 'cots'"),
    ],
)
def test_names_that_match_nothing_are_errors(
    arguments: list[str],
    message: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", model, *DATA, *arguments, "--output", str(tmp_path / "c")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"protoxai: {message}")
    assert not (tmp_path / "c").exists()


def test_images_without_a_class_to_explain_are_named(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = Shapes(length=2, size=64).class_names
    arguments = ["--methods", "Saliency", "--output", str(tmp_path / "c"), "--skip", *classes]
    assert main(["compare", model, *DATA, *arguments]) == 2
    message = "protoxai: none of 2 images shows a class to explain (classes left out: background, "
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(("encoding", "option"), [("ascii", "--tasks"), ("cp1252", "--images")])
def test_a_console_without_arrows_gets_plain_text(
    encoding: str, option: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    arguments = ["--methods", "Saliency", "--metrics", "pointing_game", option, "1"]
    arguments += ["--output", str(tmp_path / "Straße")]
    assert main(["compare", model, *DATA, *arguments]) == 0
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert "pointing_game ^" in text
    assert "^ higher is better, v lower" in text
    assert ("Strasse" if encoding == "ascii" else "Straße") in text
    table = (tmp_path / "Straße" / "comparison.txt").read_text(encoding="utf-8")
    assert "pointing_game ↑" in table


def test_tasks_of_shapes_have_their_images_without_each_part(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(explainers, tasks, **options):
        asked.extend(tasks)
        return comparison.Comparison(())

    monkeypatch.setattr(comparison, "compare", noted)
    arguments = [
        "--methods",
        "Saliency",
        "--output",
        str(tmp_path),
        "--data.evaluation_size=[48,48]",
    ]
    assert main(["compare", model, *DATA, *arguments]) == 0
    assert asked
    for task in asked:
        assert task.background == 0
        assert task.labels.shape == (1, 48, 48)
        removed = [sample["image"] for sample in task.without_parts()]
        assert len(removed) > 1
        for image in removed:
            # In the view of the original: only the part differs.
            same = (image == task.image[0]).all(0).float().mean()
            assert 0.3 < float(same) < 1


def test_models_of_one_kind_are_named_with_their_folders(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--methods", "Saliency", "--metrics", "cost", "--tasks", "1"]
    assert main(["compare", model, model, *DATA, *arguments, "--output", str(tmp_path / "c")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"ScaleProtoSeg {number}: {model}" for number in (1, 2)]
    assert main(["compare", model, *DATA, *arguments, "--output", str(tmp_path / "d")]) == 0
    assert f": {model}" not in capsys.readouterr().out


def test_models_are_compared_on_the_device_of_the_process(
    model: str, device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known once the process group has read what the launcher has set."""
    order = []

    @contextmanager
    def process_group() -> Iterator[None]:
        order.append("group")
        yield

    def own_device() -> torch.device:
        order.append("device")
        return device

    monkeypatch.setattr("protoxai.runtime.distributed.process_group", process_group)
    monkeypatch.setattr("protoxai.runtime.distributed.own_device", own_device)
    arguments = ["--methods", "prototypes", "Saliency", "--output", str(tmp_path)]
    arguments += ["--metrics", "faithfulness", "part_intervention"]
    assert main(["compare", model, *DATA, *arguments]) == 0
    assert order[:2] == ["group", "device"]
    results = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["results"]
    assert all(result["complete"] for result in results)
    # The model predicts the class of some task.
    assert any(row[0] is not None for result in results for row in result["rows"])
