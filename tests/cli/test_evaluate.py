"""`protoxai evaluate`: where the data come from, and the numbers among its options."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.cli.main import main
from tests.data import trees
from tests.training.cases import micro, write

Check = Callable[..., str]


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Check:
    """`error_of("x")` is the one line of `protoxai evaluate x`."""

    def message(*arguments: object) -> str:
        assert main(["evaluate", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return message


def test_a_run_is_evaluated_where_its_data_are_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = micro()
    keys["data"].update(dataset="em", options={}, root="/gone", validation_split="train")
    run = tmp_path / "runs" / "em"
    run.mkdir(parents=True)
    write(keys, run)
    options = {"prototypes_per_scale": 1, "prototype_dim": 4, "atrous_rates": (1, 2)}
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, **options)
    model.save_pretrained(run / "model")
    root = trees.make_em(tmp_path / "here")
    for given in (["--data.root", str(root)], [f"--data.root={root}"]):
        assert main(["evaluate", str(run), *given, "--output", str(tmp_path / "scores.json")]) == 0
        assert capsys.readouterr().out.startswith("mIoU ")
        assert len(json.loads((tmp_path / "scores.json").read_text())["per_class"]) == 2
    assert main(["evaluate", str(run), "--data.root", str(tmp_path / "there")]) == 2
    assert f"{tmp_path / 'there'}" in capsys.readouterr().err


def test_the_table_is_plain_where_the_console_is_no_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["Straße", "道"]
    for split in ("images", "labels"):
        (tmp_path / "val" / split).mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "val" / "images" / "a.png")
    Image.new("L", (32, 32)).save(tmp_path / "val" / "labels" / "a.png")
    model = LinearSegmenter("timm/test_resnet", 2, pretrained=False, atrous_rates=(1,))
    model.save_pretrained(tmp_path / "model")
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", console)
    arguments = ["--data.dataset=folder", f"--data.root={tmp_path}"]
    options = json.dumps({"class_names": names})
    assert main(["evaluate", str(tmp_path / "model"), *arguments, f"--data.options={options}"]) == 0
    console.seek(0)
    lines = console.read().splitlines()
    assert lines[1] == "no interval: 1 image with labels, an interval needs 6"
    assert lines[3].split() == ["class", "IoU", "Dice", "precision", "recall"]
    assert lines[4].startswith("Strasse ")
    assert lines[5].startswith("\\u9053 ")


def test_a_missing_folder_is_named_before_its_data(error_of: Check, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    for data in ([], ["--data.dataset=camvid", "--data.root=/none"]):
        assert f"there is no folder {missing}: give" in error_of(missing, *data)
    assert "there is no folder runs/none: give the folder of a run; if" in error_of("runs/none")
    assert f"{tmp_path} is no run folder, since it has no recipe.yaml" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "0", "4"], "--window is 0, expected a whole number of at least 1"),
        (["--window", "4", "-4"], "--window is -4, expected a whole number"),
        (["--window", "4", "four"], "--window is 'four', expected a whole number"),
        (["--window", "4", "4", "--stride", "4", "0"], "--stride is 0, expected a whole number"),
        (["--data.workers=1000000000"], "data.workers is 1000000000, expected a whole number"),
        (["--data.evaluation_batch_size=0"], "data.evaluation_batch_size is 0, expected a whole"),
    ],
)
def test_numbers(error_of: Check, arguments: list[str], message: str) -> None:
    assert message in error_of("a/b", *arguments, "--data.dataset=shapes")


def test_a_stride_without_a_window(error_of: Check) -> None:
    assert "there is no window" in error_of("a/b", "--stride", "4", "4", "--data.dataset=shapes")
