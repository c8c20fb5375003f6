"""The experiments on CamVid and Shapes: their runs on tiny data, their records and tables."""

import json
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks.experiments import camvid, shapes, tables
from benchmarks.experiments.pages import with_block
from benchmarks.experiments.records import RESULTS
from protoxai.training import Recipe, evaluate_model
from protoxai.training.run_folder.run_record import plain_recipe
from tests.training.cases import micro

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    """CamVid as it is downloaded: two videos to train on, one image of another size to test."""
    rng = np.random.default_rng(0)
    frames = {"train": ["0001TP_1", "0001TP_2", "0006R0_1"], "val": ["0016E5_1"], "test": ["x_1"]}
    for split, names in frames.items():
        for name in names:
            labels = rng.integers(0, 11, (6, 8)).repeat(10, 0).repeat(10, 1)
            for kind, mode in ((split, "RGB"), (f"{split}annot", "L")):
                folder = tmp_path / "data" / kind
                folder.mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(labels.astype(np.uint8))
                image.convert(mode).save(folder / f"{name}.png")
    return tmp_path / "data"


@pytest.fixture
def command(tmp_path, data, monkeypatch):
    """`command("--seeds", "1")` runs the experiment with tiny models."""
    keys = micro()
    keys["data"] |= {"dataset": "camvid", "options": {}, "class_balance": 0.0, "crop": [33, 33]}
    keys["stages"] = keys["stages"][:1]
    keys["stages"][0] |= {"steps": 1, "before": []}
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump(keys))
    plain = {"extends": "ours.yaml", "model": {"architecture": "LinearSegmenter"}}
    plain["stages"] = {
        "joint training": {
            "after": [],
            "learning_rates": {"backbone": 1e-3},
            "losses": {"cross_entropy": 1.0},
        }
    }
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain))
    recipes = {"ScaleProtoSeg": tmp_path / "ours.yaml", "DeepLabv2": tmp_path / "plain.yaml"}
    monkeypatch.setattr(camvid, "RECIPES", recipes)

    def run(*arguments):
        places = ["--root", data, "--output", tmp_path / "runs", "--results", tmp_path / "results"]
        monkeypatch.setattr(sys, "argv", ["camvid.py", *map(str, places), *arguments])
        camvid.main()

    return run


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*no pixel has class.*")
def test_runs_leave_records_and_are_not_repeated(command, tmp_path, data, capsys, monkeypatch):
    command("--seeds", "3", "--smoke")
    names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert [name for name in names if name.startswith("camvid-")] == [
        "camvid-usual-scaleprotoseg-3",
        "camvid-usual-deeplabv2-3",
        "camvid-0006r0-scaleprotoseg-3",
        "camvid-0006r0-deeplabv2-3",
    ]
    texts = {path.stem: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert len(texts) == 4
    usual = json.loads(texts["camvid-usual-scaleprotoseg-3"])
    held_out = json.loads(texts["camvid-0006r0-scaleprotoseg-3"])
    assert (usual["held_out"], usual["images"]) == (None, {"train": 3, "val": 1})
    assert (held_out["held_out"], held_out["images"]) == ("0006R0", {"train": 2, "val": 1})
    assert [step["step"] for step in usual["steps"]] == ["joint training", "projection"]
    assert usual["threads"] >= 1
    assert usual["seconds"] > 0
    assert usual["libraries"]["torch"]
    assert str(tmp_path) not in texts["camvid-usual-scaleprotoseg-3"]
    # The test split, by another way.
    folder = tmp_path / "runs" / "camvid-usual-scaleprotoseg-3"
    monkeypatch.chdir(tmp_path)
    test = evaluate_model(folder, {"data.validation_split": "test"})
    assert usual["test"]["mean_iou"] == pytest.approx(test.scores.mean_iou)
    assert usual["test"]["images"] == 1

    (tmp_path / "results" / "camvid-usual-deeplabv2-3.json").unlink()
    command("--seeds", "3", "--smoke")
    (again,) = capsys.readouterr().out.splitlines()
    # The run is resumed from its end.
    assert again.startswith("camvid-usual-deeplabv2-3: mIoU")
    last = json.loads((tmp_path / "results" / "camvid-usual-deeplabv2-3.json").read_text())
    before = json.loads(texts["camvid-usual-deeplabv2-3"])
    assert last["seconds"] is None
    assert last["steps"] == before["steps"]


def record(method, seed, mean_iou, held_out=None, *, test=None):
    names = {"ScaleProtoSeg": "camvid", "ProtoSeg": "camvid_protoseg"}
    recipe = plain_recipe(Recipe.load(names.get(method, "camvid_deeplabv2"), {"data.root": "x"}))
    active = 0 if method == "DeepLabv2" else 100 + seed
    steps = [
        {"step": name, "mean_iou": value, "prototypes": active, "active_prototypes": active}
        for name, value in (("joint training", 0.1), ("last", mean_iou))
    ]
    return {
        "method": method,
        "held_out": held_out,
        "seed": seed,
        "images": {"train": 367, "val": 101},
        "steps": steps,
        "test": None if test is None else {"mean_iou": test},
        "seconds": 60.0,
        "threads": 1,
        "processes": 1,
        "devices": [],
        "libraries": {"torch": "2.9.0"},
        "git": {"commit": "0" * 40, "changed": False},
        "recipe": {**recipe, "seed": seed},
    }


def write_records(folder, records):
    for number, each in enumerate(records):
        (folder / f"camvid-{number}.json").write_text(json.dumps(each))


def test_tables_say_how_many_seeds_there_are(tmp_path):
    assert tables.short([]) == "No run is finished yet.\n"
    records = [record("DeepLabv2", 1, 0.5), record("ScaleProtoSeg", 2, 0.64)]
    records += [record("ScaleProtoSeg", 1, 0.6), record("ScaleProtoSeg", 1, 0.3, "0006R0")]
    write_records(tmp_path, records)
    read = tables.read(tmp_path)
    assert tables.short(read).splitlines() == [
        "| model | mIoU, validation | mIoU, 0006R0 left out | prototypes in use, all runs |",
        "| --- | --- | --- | --- |",
        "| ScaleProtoSeg | 62.0 ± 2.8 (n = 2) | 30.0 (n = 1) | 101 |",
        "| ProtoSeg | – | – |  |",
        "| DeepLabv2 | 50.0 (n = 1) | – |  |",
        "",
        "Mean ± standard deviation over n seeds, percent; torch 2.9.0; 1 thread.",
    ]
    full = tables.full(read)
    assert "| ScaleProtoSeg | joint training | 10.0 ± 0.0 | 102 ± 1 | 2 |" in full
    assert full.count("### ") == 2


def test_runs_that_no_commit_reproduces_are_named():
    runs = ((1, None), (2, None), (2, "0006R0"))
    unknown, *changed = (record("ProtoSeg", seed, 0.5, video) for seed, video in runs)
    unknown["git"] = None
    for each in changed:
        each["git"]["changed"] = True
    committed = record("DeepLabv2", 1, 0.5)
    note = "Run from code with changes that were not committed: "
    lines = tables.short([unknown, *changed, committed]).splitlines()
    assert lines[-1] == f"{note}ProtoSeg, seed 2; ProtoSeg, seed 2, 0006R0 left out."
    assert note not in tables.short([unknown, committed])
    assert tables.full([committed, *changed]).splitlines()[-1].startswith(note)
    assert tables.final_table(changed[:1]).splitlines()[-1] == f"{note}ProtoSeg, seed 2."


def test_a_column_for_the_test_split_where_there_is_one(tmp_path):
    write_records(tmp_path, [record("ProtoSeg", 1, 0.5, test=0.4), record("ProtoSeg", 2, 0.5)])
    head, _, _, row, *_ = tables.short(tables.read(tmp_path)).splitlines()
    assert head == "| model | mIoU, validation | mIoU, test | prototypes in use, all runs |"
    assert row == "| ProtoSeg | 50.0 ± 0.0 (n = 2) | 40.0 (n = 1) | 102 |"


def test_runs_of_different_recipes_are_not_averaged(tmp_path):
    other = deepcopy(record("ProtoSeg", 2, 0.5))
    other["recipe"]["data"]["flip"] = 0.25
    write_records(tmp_path, [record("ProtoSeg", 1, 0.5), other])
    with pytest.raises(ValueError, match=r"ProtoSeg, seeds 1 and 2, differ in data\.flip"):
        tables.read(tmp_path)


def test_readme_and_documentation_show_the_records():
    camvid_runs, shapes_runs = (tables.read(RESULTS, name) for name in ("camvid", "shapes"))
    for page, name, table in (
        ("README.md", "camvid", tables.short(camvid_runs)),
        ("docs/camvid.md", "camvid", tables.full(camvid_runs)),
        ("README.md", "shapes", tables.final_table(shapes_runs)),
    ):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert with_block(text, name, table) == text, "run python benchmarks/experiments/tables.py"
    with pytest.raises(ValueError, match="expected one block"):
        with_block("a page", "camvid", "")


def test_the_table_of_shapes_has_means_over_seeds():
    records = [record("ProtoSeg", seed, value) for seed, value in ((1, 0.5), (2, 0.52))]
    *_, row, _, note = tables.final_table(records).splitlines()
    assert row == "| ProtoSeg | last | 51.0 ± 1.4 | 102 ± 1 | 2 |"
    assert note.startswith("Mean ± standard deviation over n seeds")
    assert tables.final_table([]) == "No run is finished yet.\n"


@pytest.mark.slow
def test_runs_on_shapes_leave_records(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**micro(), "baseline": True}))
    small = Recipe.load(tmp_path / "small.yaml")
    monkeypatch.setattr(shapes, "Recipe", SimpleNamespace(load=lambda name: small))
    places = ["--output", tmp_path / "runs", "--results", tmp_path / "results", "--smoke"]
    monkeypatch.setattr(sys, "argv", ["shapes.py", *map(str, places), "--seeds", "5"])
    for _ in range(2):
        shapes.main()
    names = [f"shapes-{name}-5" for name in ("scaleprotoseg", "protoseg", "deeplabv2")]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == names
    records = tables.read(tmp_path / "results", "shapes")
    assert [each["method"] for each in records] == ["ScaleProtoSeg", "ProtoSeg", "DeepLabv2"]
    assert all(each["seed"] == 5 and each["seconds"] > 0 for each in records)


def test_records_hold_no_path():
    for path in RESULTS.glob("*-*-*.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        assert "root" not in values["recipe"]["data"]
        assert "/" not in json.dumps(values).replace("timm/tf_efficientnet_lite0", ""), path
