"""`protoxai report`: one file about a model, from a run, a model folder or a folder on its own."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai import LinearSegmenter, ScaleProtoSeg, project_prototypes
from protoxai.cli.main import main
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.training.evaluate_saved import evaluate_model
from tests.data import trees
from tests.training.cases import micro, write

OPTIONS: dict[str, Any] = {"prototypes_per_scale": 1, "prototype_dim": 4, "atrous_rates": (1, 2)}


def payload(path: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def saved(folder: Path) -> Path:
    """A model of two classes that keeps pictures of random images."""
    torch.manual_seed(0)
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, **OPTIONS)
    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    labels[:, 32:] = 1
    project_prototypes(model, [(torch.rand(2, 3, 64, 64), labels)])
    model.group(2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    keys = micro()
    root = trees.make_em(tmp_path / "here")
    keys["data"].update(dataset="em", options={}, root=str(root), validation_split="train")
    run = tmp_path / "runs" / "em"
    run.mkdir(parents=True)
    write(keys, run)
    saved(run / "model")
    return run


def test_a_run_is_reported(run_folder: Path, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "out" / "report.html"
    arguments = ["report", str(run_folder), "--output", str(output), "--images", "1"]
    assert main([*arguments, "--title", "Cells"]) == 0
    assert capsys.readouterr().out == f"report: {output}\n"
    page = payload(output)
    assert len(page["images"]) == 1
    assert page["pictures"]
    text = output.read_text(encoding="utf-8")
    assert "<title>Cells</title>" in text
    assert "em, split train" in text
    assert "Mean IoU" in text


def test_training_pictures_are_left_out(run_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert main(["report", str(run_folder), "--output", str(output), "--no-images"]) == 0
    page = payload(output)
    assert not page["pictures"]
    assert page["images"]
    assert "No pictures of the prototypes were kept" in output.read_text(encoding="utf-8")


def test_a_model_folder_is_reported_elsewhere(run_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "elsewhere"
    shutil.move(run_folder / "model", model)
    shutil.rmtree(run_folder)
    data = ["--data.dataset=em", "--data.root", str(tmp_path / "here")]
    data += ["--data.validation_split=train"]
    output = tmp_path / "report.html"
    assert main(["report", str(model), *data, "--output", str(output), "--inactive"]) == 0
    page = payload(output)
    assert page["pictures"]
    assert page["left_out"] == 0


def test_results_are_those_of_protoxai_evaluate(run_folder: Path, tmp_path: Path) -> None:
    model = ScaleProtoSeg.from_pretrained(run_folder / "model")
    settings = EvaluationSettings(window=(24, 24), stride=(24, 24))
    model.save_pretrained(tmp_path / "model", documents=settings.documents())
    data = ["--data.dataset=em", "--data.root", str(tmp_path / "here")]
    data += ["--data.validation_split=train"]
    output = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "model"), *data, "--output", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    windowed = evaluate_model(tmp_path / "model", data).scores
    whole = evaluate_model(run_folder).scores
    assert f"<dd>{100 * windowed.pixel_accuracy:.1f} %</dd>" in text
    assert windowed != whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none/at/all"], "there is no folder none/at/all"),
        (["a/b", "--images=-1"], "--images is -1, expected a whole number of at least 0"),
        (["a/b", "--images=few"], "--images is 'few', expected a whole number"),
        (["a/b", "--output="], "--output is empty"),
        (["a/b", "--output=/"], "--output is /, which is a folder: give the path of a file"),
        (["a/b", "--no-image"], "did you mean"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: list[str], message: str, capsys: Any) -> None:
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_model_without_prototypes_has_no_report(
    run_folder: Path, tmp_path: Path, capsys: Any
) -> None:
    shutil.rmtree(run_folder / "model")
    model = LinearSegmenter("timm/test_resnet", 2, pretrained=False, atrous_rates=(1,))
    model.save_pretrained(run_folder / "model")
    output = tmp_path / "report.html"
    assert main(["report", str(run_folder), "--output", str(output)]) == 2
    assert "expected a ScaleProtoSeg: it has prototypes to show" in capsys.readouterr().err
    assert not output.exists()
