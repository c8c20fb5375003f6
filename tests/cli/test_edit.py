"""`protoxai edit`: a new model folder, and the scores before and after."""

import json
import warnings
from pathlib import Path

import pytest
import torch

from protoxai import LinearSegmenter, ScaleProtoSeg, refit_last_layer
from protoxai.cli.main import main
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.training.feeding.loaders import Splits, class_weights, projection_loader
from protoxai.training.recipes.recipe import Recipe
from tests.cli.models import saved_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        # Two pictures do not show all classes.
        warnings.filterwarnings("ignore", ".*no pixel has class.*")
        saved_run(tmp_path / "run")
    return tmp_path / "run"


def used(model: ScaleProtoSeg) -> int:
    """A prototype of a class whose groups use another one too."""
    weights = model.head.group_weights()
    for index, class_index in enumerate(model.table.class_index.tolist()):
        own = model.table.class_index == class_index
        if int((weights[:, own] > 0).any(0).sum()) > 1 and (weights[:, index] > 0).any():
            return index
    raise AssertionError


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["edit", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_an_edited_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScaleProtoSeg.from_pretrained(run / "model")
    index, output = used(model), run.parent / "edited"
    assert main(["edit", str(run), "--without", str(index), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"removed the prototype {index}\n\n%")
    assert "\nmIoU " in printed
    assert printed.endswith(f"model: {output}\n")
    edited = ScaleProtoSeg.from_pretrained(output)
    expected = model.without([index])
    assert edited.table == expected.table
    assert edited.provenance == expected.provenance
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(edited.logits(images), expected.eval().logits(images))
    note = json.loads((output / "edit.json").read_text())
    assert note["removed"] == [index]
    assert set(note) == {"format", "removed", "before", "after"}
    # The run's settings go with the model.
    assert edited.evaluation_settings == EvaluationSettings()


@pytest.mark.filterwarnings("ignore:no labelled cell has class")
def test_marks_and_a_refit(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScaleProtoSeg.from_pretrained(run / "model")
    index = used(model)
    prototype = model.prototypes[index]
    mark = {"index": index, "class": prototype.class_name, "reason": "a shadow"}
    mark["image_id"] = prototype.provenance.image_id
    marks = run.parent / "marks.json"
    marks.write_text(json.dumps({"format": 1, "prototypes": [mark]}))
    output = run.parent / "edited"
    arguments = ["--without", str(marks), "--refit", "--output", str(output)]
    assert main(["edit", str(run), *arguments]) == 0
    assert "refitted the last layer: loss " in capsys.readouterr().out
    edited, note = (
        ScaleProtoSeg.from_pretrained(output),
        json.loads((output / "edit.json").read_text()),
    )
    assert note["refit"]["after"]["loss"] < note["refit"]["before"]["loss"]
    expected = model.without([index])
    assert torch.equal(edited.head.group_weights(), expected.head.group_weights())
    recipe = Recipe.load(run / "recipe.yaml")
    splits = Splits.of(recipe.data)
    record = refit_last_layer(
        expected,
        projection_loader(splits.projection, recipe.data, model),
        off_class_l1=recipe.stages[1].losses["off_class_l1"],
        class_weight=class_weights(splits.train, recipe.data),
    )
    torch.testing.assert_close(edited.head.weight, record.model.head.weight)
    # Of the edited model the marks are no longer.
    line = error_of(
        capsys, output, "--without", marks, "--output", run.parent / "b", "--data.dataset=shapes"
    )
    assert "the marks are of another model" in line


def test_an_image_is_explained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    image, output = run.parent / "a.png", run.parent / "edited"
    Image.effect_noise((64, 48), 90).convert("RGB").save(image)
    index = used(ScaleProtoSeg.from_pretrained(run / "model"))
    arguments = ["--without", str(index), "--image", str(image), "--output", str(output)]
    assert main(["edit", str(run), *arguments]) == 0
    assert "of the image's pixels are predicted as another class" in capsys.readouterr().out


def test_nothing_is_written_over(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (run / "model").rglob("*") if path.is_file()}
    for folder in (run, run / "model", run / "recipe.yaml"):
        line = error_of(capsys, run, "--without", 0, "--output", folder)
        assert f"{folder} exists already: give a new folder" in line
    assert all(path.read_bytes() == content for path, content in before.items())


def test_errors(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = run.parent / "edited"
    assert "prototypes is 999, expected a whole number from 0 to" in error_of(
        capsys, run, "--without", "999", "--output", output
    )
    assert "none.json cannot be read" in error_of(
        capsys, run, "--without", "none.json", "--output", output
    )
    everything = ",".join(map(str, range(18)))
    assert "would lose its last prototype" in error_of(
        capsys, run, "--without", everything, "--output", output
    )
    box = LinearSegmenter("timm/test_resnet", 9, pretrained=False, atrous_rates=(1,))
    box.save_pretrained(run.parent / "box")
    assert "holds a LinearSegmenter, which has no prototypes" in error_of(
        capsys, run.parent / "box", "--without", 0, "--output", output, "--data.dataset=shapes"
    )
    assert not output.exists()
