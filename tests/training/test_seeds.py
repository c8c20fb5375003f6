"""Several seeds of a recipe: what is trained, skipped, resumed, refused and written."""

import json
import os
import signal
from dataclasses import replace

import pytest

from protoxai.cli.main import main
from protoxai.runtime.files import write_json
from protoxai.training import Recipe, RecipeError, RunError
from protoxai.training.run_folder.run_record import write_environment, write_recipe
from protoxai.training.seeds import run_seeds
from tests.training.cases import micro, write
from tests.training.test_processes import protoxai, started


@pytest.fixture
def recipe(tmp_path):
    return Recipe.load(write(micro(), tmp_path))


class Training:
    """A training that leaves the files of a run; its mIoU is a tenth of the seed."""

    def __init__(self, stop_at=None):
        self.calls = []
        self.stop_at = stop_at

    def __call__(self, recipe, folder, resume):
        self.calls.append((recipe.seed, folder.name, resume))
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints" / "0.pt").touch()
        write_recipe(recipe, folder)
        write_environment(recipe, folder)
        if recipe.seed == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        step = {"step": "joint", "mean_iou": recipe.seed / 10, "prototypes": 0}
        run = {"method": recipe.method, "steps": [{**step, "active_prototypes": 0}]}
        write_json(folder / "metrics.json", {recipe.name: run})
        (folder / "report.html").touch()


def lines_of(recipe, output, count, train, **options):
    lines = []
    run_seeds(recipe, output, count, train, log=lines.append, **options)
    return lines


def test_seeds_follow_that_of_the_recipe(recipe, tmp_path):
    train, output = Training(), tmp_path / "runs"
    lines = lines_of(recipe, output, 2, train)
    assert train.calls == [(7, "seed-7", False), (8, "seed-8", False)]
    assert lines[:2] == [
        f"seed 7 (1 of 2): {output / 'seed-7'}",
        f"seed 8 (2 of 2): {output / 'seed-8'}",
    ]
    assert "ScaleProtoSeg  joint  75.0 ± 7.1" in lines[2]
    assert "thread" in lines[2].splitlines()[-1]
    content = json.loads((output / "seeds.json").read_text())
    assert content["seeds"] == [7, 8]
    assert content["rows"][0]["mean_iou"]["values"] == pytest.approx([70, 80])
    markdown = (output / "seeds.md").read_text()
    assert "| ScaleProtoSeg | joint | 75.0 ± 7.1 |  | 2 |" in markdown
    assert "torch" in markdown
    assert r"75.0 $\pm$ 7.1" in (output / "seeds.tex").read_text()


def test_resume_skips_what_is_finished_and_adds_seeds(recipe, tmp_path):
    lines_of(recipe, tmp_path, 1, Training())
    # As a run leaves it that has been stopped.
    Training()(replace(recipe, seed=8), tmp_path / "seed-8", False)
    (tmp_path / "seed-8" / "metrics.json").unlink()
    train = Training()
    lines = lines_of(recipe, tmp_path, 3, train, resume=True)
    assert lines[0] == "seed 7 (1 of 3) is finished"
    assert train.calls == [(8, "seed-8", True), (9, "seed-9", False)]
    again = Training()
    assert lines_of(recipe, tmp_path, 3, again, resume=True)[-1] == lines[-1]
    assert not again.calls


def test_a_seed_is_not_finished_without_its_baseline_or_explanation(recipe, tmp_path):
    with_baseline = replace(recipe, baseline=True)
    lines_of(recipe, tmp_path, 1, Training())
    (tmp_path / "seed-7" / "report.html").unlink()
    for each in (recipe, with_baseline):
        train = Training()
        lines_of(each, tmp_path, 1, train, resume=True)
        assert train.calls == [(7, "seed-7", True)]


def test_what_cannot_begin(recipe, tmp_path):
    with pytest.raises(RunError, match=r"none of the folders seed-7 to seed-9 to resume"):
        lines_of(recipe, tmp_path, 3, Training(), resume=True)
    with pytest.raises(ValueError, match=r"seeds=0|seeds is 0"):
        lines_of(recipe, tmp_path, 0, Training())
    with pytest.raises(RecipeError, match=r"seed"):
        lines_of(replace(recipe, seed=2**32 - 1), tmp_path, 2, Training())
    Training()(replace(recipe, seed=8), tmp_path / "seed-8", False)
    train = Training()
    with pytest.raises(RunError, match=r"seed-8 holds a run already: continue with --resume"):
        lines_of(recipe, tmp_path, 3, train)
    other = replace(recipe, data=replace(recipe.data, flip=0.1))
    with pytest.raises(RunError, match=r"seed-8 holds a run of another recipe .*data\.flip"):
        lines_of(other, tmp_path, 3, train, resume=True)
    assert not train.calls


def test_a_stop_says_how_many_seeds_are_finished(tmp_path, monkeypatch, capsys):
    path, output = write(micro(), tmp_path), tmp_path / "runs"

    def train_one(recipe, folder, splits, *, resume, check):
        del splits
        checks.append((recipe.seed, check))
        Training(stop_at)(recipe, folder, resume)

    checks, stop_at = [], 8
    monkeypatch.setattr("protoxai.cli.train._train_one", train_one)
    arguments = ["train", str(path), "--output", str(output), "--seeds", "3"]
    assert main(arguments) == 143
    assert capsys.readouterr().err == (
        "protoxai: stopped in seed 8, 1 of 3 seeds are finished; continue with --resume\n"
    )
    assert json.loads((output / "seeds.json").read_text())["seeds"] == [7]
    stop_at = None
    assert main([*arguments, "--resume"]) == 0
    assert checks == [(7, True), (8, False), (8, False), (9, False)]
    assert "3 of 3" in capsys.readouterr().out


@pytest.mark.slow
def test_two_seeds_with_their_baselines(tmp_path, capsys):
    path = write({**micro(), "baseline": True, "loggers": []}, tmp_path)
    arguments = ["train", str(path), "--output", str(tmp_path / "runs"), "--seeds", "2", "--smoke"]
    assert main([*arguments, "--no-check"]) == 0
    rows = json.loads((tmp_path / "runs" / "seeds.json").read_text())["rows"]
    steps = ["joint training", "projection", "grouping", "threshold", "joint training"]
    assert [row["step"] for row in rows] == steps
    assert [row["model"] for row in rows] == ["ScaleProtoSeg"] * 4 + ["DeepLabv2"]
    for seed in (7, 8):
        metrics = json.loads((tmp_path / "runs" / f"seed-{seed}" / "metrics.json").read_text())
        last = metrics["micro"]["steps"][-1]["mean_iou"]
        assert rows[3]["mean_iou"]["values"][seed - 7] == pytest.approx(100 * last)
    before = (tmp_path / "runs" / "seeds.json").read_bytes()
    capsys.readouterr()
    assert main([*arguments, "--resume"]) == 0
    assert (tmp_path / "runs" / "seeds.json").read_bytes() == before
    assert "seed 8 (2 of 2) is finished" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_train_each_seed_together(tmp_path):
    keys = {**micro(), "loggers": []}
    keys["stages"] = keys["stages"][:1]
    path, output = write(keys, tmp_path), tmp_path / "runs"
    arguments = ["train", path, "--output", output, "--smoke", "--no-check"]
    protoxai(1, *arguments, "--seeds", "1")
    process = started(2, *arguments, "--seeds", "2", "--resume")
    shown, error = process.communicate()
    assert process.returncode == 0, error[-3000:]
    # The first process alone prints.
    for line in ("seed 7 (1 of 2) is finished", "seed 8 (2 of 2): ", "1 or 2 processes"):
        assert shown.count(line) == 1, line
    content = json.loads((output / "seeds.json").read_text())
    assert content["seeds"] == [7, 8]
    assert len(content["rows"][0]["mean_iou"]["values"]) == 2
