"""`protoxai predict`: labels and overlays of image files."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.cli.main import main
from protoxai.evaluation import sliding_logits
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.model.prediction import predicted_labels
from protoxai.runtime.palette import distinct_palette
from tests.cli.models import saved_run

NAMES = ("sky", "road", "tree")


def model_of(folder: Path, classes: int = 3, **options: object) -> LinearSegmenter:
    torch.manual_seed(0)
    names = NAMES if classes == 3 else None
    model = LinearSegmenter(
        "timm/test_resnet", classes, pretrained=False, atrous_rates=(1,), class_names=names
    )
    for module in model.scales.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.normal_(std=0.3)
    model.evaluation_settings = EvaluationSettings(**options)
    model.save_pretrained(folder)
    return model.eval()


def picture(path: Path, size: tuple[int, int] = (40, 32), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def predicted(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(tmp_path / "model", evaluation_size=(64, 48))
    one = picture(tmp_path / "one.jpg")
    picture(tmp_path / "many" / "a.png", seed=1)
    picture(tmp_path / "many" / "deep" / "a.PNG", (30, 50), seed=2)
    picture(tmp_path / "many" / ".hidden" / "a.png")
    (tmp_path / "many" / "notes.txt").write_text("no image")
    output = tmp_path / "out"
    paths = [str(one), str(tmp_path / "many")]
    assert main(["predict", str(tmp_path / "model"), *paths, "--output", str(output)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    files = {"one.png": one, "a.png": tmp_path / "many" / "a.png"}
    files["deep/a.png"] = tmp_path / "many" / "deep" / "a.PNG"
    written = {str(p.relative_to(output / "labels")) for p in (output / "labels").rglob("*.png")}
    assert written == set(files)
    palette = np.asarray(distinct_palette(3))
    for name, path in files.items():
        labels = predicted(output / "labels" / name)
        assert np.array_equal(labels, model.predict(path)[0].numpy())
        assert len(np.unique(labels)) > 1
        shown = Image.open(output / "labels" / name)
        assert shown.mode == "P"
        assert np.array_equal(np.asarray(shown.convert("RGB")), palette[labels])
        image = np.asarray(Image.open(path).convert("RGB")).astype(float)
        overlay = predicted(output / "overlays" / name).astype(float)
        assert np.abs(overlay - 0.5 * (image + palette[labels])).max() <= 0.5
    classes = json.loads((output / "classes.json").read_text())
    assert [entry["name"] for entry in classes] == list(NAMES)
    assert [entry["colour"] for entry in classes] == palette.tolist()
    # A second time nothing but the images is read.
    assert main(["predict", str(tmp_path / "model"), *paths, "--output", str(output)]) == 0


def test_more_classes_than_bytes(tmp_path: Path) -> None:
    model = model_of(tmp_path / "model", classes=300)
    path = picture(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "model"), str(path), "--output", str(tmp_path)]) == 0
    labels = Image.open(tmp_path / "labels" / "a.png")
    assert labels.mode == "I;16"
    assert np.array_equal(np.asarray(labels), model.predict(path)[0].numpy())


def test_the_window_of_the_model_is_used(tmp_path: Path) -> None:
    model = model_of(tmp_path / "model", window=(32, 32), stride=(16, 16))
    path = picture(tmp_path / "a.png", (90, 70))
    assert main(["predict", str(tmp_path / "model"), str(path), "--output", str(tmp_path)]) == 0
    logits = sliding_logits(model, model.preprocess(path), (32, 32), (16, 16))
    expected = predicted_labels(logits, (70, 90))[0].numpy()
    assert np.array_equal(predicted(tmp_path / "labels" / "a.png"), expected)
    assert not np.array_equal(expected, model.predict(path)[0].numpy())


def test_a_run_has_the_colours_of_its_data_and_may_abstain(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no pixel has class.*")
        model = saved_run(tmp_path / "run")
    path, output = picture(tmp_path / "a.png", (64, 64)), tmp_path / "out"
    arguments = [str(tmp_path / "run"), str(path), "--output", str(output)]
    assert main(["predict", *arguments, "--abstain-below", "1"]) == 0
    labels = predicted(output / "labels" / "a.png")
    expected = model.predict(path, abstain_below=1.0, ignore_index=255)[0].numpy()
    assert np.array_equal(labels, expected)
    assert (labels == 255).any()
    overlay, image = predicted(output / "overlays" / "a.png"), predicted(path)
    assert np.array_equal(overlay[labels == 255], image[labels == 255])
    from protoxai.data import Shapes

    palette = Shapes(length=1, size=64).palette
    classes = json.loads((output / "classes.json").read_text())
    assert [tuple(entry["colour"]) for entry in classes] == list(palette)


def test_a_damaged_file_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of(tmp_path / "model")
    bad = tmp_path / "many" / "a.png"
    picture(tmp_path / "many" / "b.png")
    bad.write_bytes(b"no image")
    output = tmp_path / "out"
    paths = [str(tmp_path / "many"), "--output", str(output)]
    assert main(["predict", str(tmp_path / "model"), *paths]) == 2
    streams = capsys.readouterr()
    assert f"{bad}: not predicted ({bad} cannot be read as an image" in streams.out
    assert f"1 of 2 images could not be predicted, the first is {bad}" in streams.err
    assert [p.name for p in (output / "labels").iterdir()] == ["b.png"]


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model_of(tmp_path / "model")
    one, other = picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "a.jpg")
    (tmp_path / "empty").mkdir()
    output = str(tmp_path / "out")
    for paths, message in (
        ([one, other], f"{one} and {other} would both be written as a.png"),
        ([tmp_path / "none.png"], "there is no image and no folder"),
        ([tmp_path / "empty"], "holds no image (.jpg"),
        ([tmp_path / "out"], "there is no image and no folder"),
        ([one, "--abstain-below", 2], "--abstain-below is 2.0, expected a number from 0 to 1"),
        ([one, "--abstain-below", 0.5], "is a LinearSegmenter, without prototypes"),
    ):
        words = [str(tmp_path / "model"), *map(str, paths), "--output", output]
        assert main(["predict", *words]) == 2
        assert message in capsys.readouterr().err
    assert (
        main(
            [
                "predict",
                str(tmp_path / "model"),
                str(tmp_path / "x"),
                "--output",
                str(tmp_path / "x"),
            ]
        )
        == 2
    )
    assert "is the output folder too" in capsys.readouterr().err


def test_windows_do_not_abstain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, atrous_rates=(1, 2))
    model.evaluation_settings = EvaluationSettings(window=(32, 32))
    model.save_pretrained(tmp_path / "model")
    words = [str(tmp_path / "model"), str(picture(tmp_path / "a.png")), "--output", str(tmp_path)]
    assert main(["predict", *words, "--abstain-below", "0.5"]) == 2
    assert "sliding window of 32 x 32" in capsys.readouterr().err
