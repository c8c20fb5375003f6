"""A resumed run ends as if it had never been stopped."""

import json
import multiprocessing
import os
import random
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from protoxai.runtime.files import write_json
from protoxai.training import Recipe, run
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages.checkpoints import Checkpoints

RECIPE = """
name: micro
data: {dataset: shapes, options: {size: 64, length: 8}, crop: [64, 64], batch_size: 2,
       evaluation_size: [64, 64], evaluation_batch_size: 4, color_jitter: 0.2}
model: {backbone: timm/test_efficientnet, pretrained: false, prototypes_per_scale: 2,
        prototype_dim: 4, atrous_rates: [1, 2], output_stride: 8}
checkpoint_every: 1
loggers: [csv]
stages:
  - name: joint training
    steps: 5
    accumulate_grad_batches: 2
    before: [initialise]
    after: [project]
    schedule: polynomial
    warmup_steps: 2
    validate: epoch
    keep_best: true
    learning_rates: {backbone: 1.0e-3, scales: 1.0e-3, prototypes: 1.0e-2}
    losses: {prototype_diversity: 0.25}
  - name: grouping
    steps: 5
    before: [group]
    after: [threshold]
    cached_views: 1
    learning_rates: {groups: 1.0e-2, last_layer: 1.0e-2}
    losses: {group_entropy: 0.05, off_class_l1: 1.0e-3}
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "micro.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """The run that was never stopped, and its folder."""
    folder = tmp_path_factory.mktemp("complete")
    file = folder / "micro.yaml"
    file.write_text(RECIPE)
    return quietly(Recipe.load(file), folder / "run"), folder / "run"


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def quietly(recipe, folder, **options):
    return run(recipe, folder, log=lambda _: None, progress=False, **options)


def stop_at(recipe, folder, monkeypatch, number):
    """Run until the checkpoint of that number is written, then stop as a crash would."""

    class CrashError(Exception):
        pass

    save, count = Checkpoints.save, iter(range(10**6))

    def crash(self, *args):
        path = save(self, *args)
        if next(count) == number:
            raise CrashError
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", crash)
        with pytest.raises(CrashError):
            quietly(recipe, folder)


def assert_same_prototypes(first, second):
    """Pictures and distances to the last byte."""
    files = sorted((first / "prototypes").iterdir())
    assert len(files) == len(json.loads((first / "provenance.json").read_text())) > 0
    for file in (*files, first / "prototypes.safetensors"):
        assert file.read_bytes() == (second / file.relative_to(first)).read_bytes()


# Checkpoints 0 to 4 lie in the first stage, 5 after its training, 6 before the second stage; 7 to
# 11 lie in that, 12 after its training, 13 at the end.
@pytest.mark.parametrize(
    "number", [3, *(pytest.param(other, marks=pytest.mark.slow) for other in (0, 5, 6, 9, 12, 13))]
)
def test_resumed_run_ends_with_the_same_bits(complete, recipe_file, tmp_path, monkeypatch, number):
    result, folder = complete
    recipe = Recipe.load(recipe_file)
    stop_at(recipe, tmp_path / "stopped", monkeypatch, number)
    resumed = quietly(recipe, tmp_path / "stopped", resume=True)
    assert_same(weights(folder), weights(tmp_path / "stopped"))
    # As text, in which undefined scores are equal and all digits of the others are kept.
    assert [repr(row.scores) for row in result.rows] == [repr(row.scores) for row in resumed.rows]
    assert result.model.provenance == resumed.model.provenance
    assert_same_prototypes(folder / "model", tmp_path / "stopped" / "model")


def test_checkpoints_of_earlier_versions_have_no_pictures(
    complete, recipe_file, tmp_path, monkeypatch
):
    recipe, folder = Recipe.load(recipe_file), tmp_path / "stopped"
    stop_at(recipe, folder, monkeypatch, 9)
    checkpoints = Checkpoints(folder / "checkpoints")
    state = checkpoints.newest()
    assert "prototypes.safetensors" in state["prototype_files"]
    assert {file.dtype for file in state["prototype_files"].values()} == {torch.uint8}
    del state["prototype_files"]
    checkpoints.save(state["stage"], state["training"]["step"], state)
    resumed = quietly(recipe, folder, resume=True)
    assert_same(weights(complete[1]), weights(folder))
    assert resumed.model.patches is resumed.model.class_distances is None
    assert resumed.model.provenance == complete[0].model.provenance


def test_damaged_checkpoint_is_skipped(complete, recipe_file, tmp_path, monkeypatch):
    recipe = Recipe.load(recipe_file)
    stop_at(recipe, tmp_path / "stopped", monkeypatch, 3)
    newest = max(Checkpoints(tmp_path / "stopped" / "checkpoints").paths())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged .* trying the one before"):
        quietly(recipe, tmp_path / "stopped", resume=True)
    assert_same(weights(complete[1]), weights(tmp_path / "stopped"))


def test_other_recipe_or_unasked_run_is_refused(recipe_file, tmp_path, monkeypatch):
    recipe = Recipe.load(recipe_file)
    stop_at(recipe, tmp_path, monkeypatch, 2)
    with pytest.raises(RunError, match="holds a run already: continue it with --resume"):
        quietly(recipe, tmp_path)
    other = replace(recipe, seed=1, data=replace(recipe.data, flip=0.0))
    with pytest.raises(RunError, match=r"another recipe \(it differs in data\.flip, seed\)"):
        quietly(other, tmp_path, resume=True)


def test_a_folder_without_checkpoints_is_not_resumed(recipe_file, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for folder in ("run", "nothing"):
        with pytest.raises(RunError, match=rf"{folder} holds no checkpoint to resume from: check"):
            quietly(Recipe.load(recipe_file), tmp_path / folder, resume=True)


@pytest.mark.filterwarnings("ignore:the checkpoint .* is damaged")
@pytest.mark.parametrize("spoil", ["cut", "emptied", "no checksum"])
def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(
    recipe_file, tmp_path, monkeypatch, spoil
):
    stop_at(Recipe.load(recipe_file), tmp_path / "run", monkeypatch, 1)
    for path in Checkpoints(tmp_path / "run" / "checkpoints").paths():
        if spoil == "no checksum":
            path.with_suffix(".sha256").unlink()
        else:
            path.write_bytes(path.read_bytes()[: 300 if spoil == "cut" else 0])
    with pytest.raises(RunError, match=r"none of the 2 checkpoints in .* is intact: restore them"):
        quietly(Recipe.load(recipe_file), tmp_path / "run", resume=True)


def test_keys_that_do_not_change_training_may_change(complete, recipe_file, tmp_path, monkeypatch):
    recipe = Recipe.load(recipe_file)
    stop_at(recipe, tmp_path / "run", monkeypatch, 3)
    data = replace(recipe.data, workers=1, evaluation_batch_size=2)
    changed = replace(recipe, data=data, checkpoint_every=3, log_every=2, loggers=(), name="other")
    quietly(changed, tmp_path / "run", resume=True)
    assert_same(weights(complete[1]), weights(tmp_path / "run"))
    # What is evaluated later has the keys that worked.
    assert Recipe.load(tmp_path / "run" / "recipe.yaml") == changed


def test_another_number_of_processes_is_refused(recipe_file, tmp_path, monkeypatch):
    recipe = Recipe.load(recipe_file)
    stop_at(recipe, tmp_path / "run", monkeypatch, 1)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    state = checkpoints.newest()
    checkpoints.save(0, 2, {**state, "processes": 4})
    with pytest.raises(RunError, match=r"of 4 processes, and this one has 1.*--nproc-per-node 4"):
        quietly(recipe, tmp_path / "run", resume=True)
    # A checkpoint of an earlier version lacks it, but its run folder has it.
    del state["processes"]
    checkpoints.save(0, 3, state)
    write_json(tmp_path / "run" / "environment.json", {"processes": 2})
    with pytest.raises(RunError, match=r"of 2 processes, and this one has 1.*--nproc-per-node 2"):
        quietly(recipe, tmp_path / "run", resume=True)
    (tmp_path / "run" / "environment.json").unlink()
    quietly(recipe, tmp_path / "run", resume=True)


def test_full_disk_keeps_the_last_checkpoint(recipe_file, tmp_path, monkeypatch):
    recipe = Recipe.load(recipe_file)
    checkpoints = Checkpoints(tmp_path / "stopped" / "checkpoints")
    fsync = os.fsync

    def full(descriptor):
        if (checkpoints.folder / "stage00-step00000003.sha256").exists():
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*step00000003\.pt, is intact"):
        quietly(recipe, tmp_path / "stopped")
    assert not list(checkpoints.folder.glob("*.part"))
    assert checkpoints.newest()["training"]["step"] == 3


def resume_in_a_process(recipe_file, folder):
    torch.set_num_threads(1)
    quietly(Recipe.load(recipe_file), folder, resume=any(folder.glob("checkpoints/*.pt")))


@pytest.mark.slow
def test_killed_at_random_moments(complete, recipe_file, tmp_path):
    """SIGKILL at five random moments, then to the end: bit for bit the run without."""
    folder = tmp_path / "killed"
    # The server imports the libraries once; the processes that it forks start at once.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["lightning", __name__])
    chance = random.Random(0)
    kills = 0
    for last in (False,) * 5 + (True,):
        before = _written(folder)
        process = processes.Process(target=resume_in_a_process, args=(recipe_file, folder))
        process.start()
        if not last:
            while process.is_alive() and _written(folder) == before:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.1))
            kills += process.is_alive()
            process.kill()
        process.join()
    assert process.exitcode == 0
    assert kills >= 4
    assert_same(weights(complete[1]), weights(folder))


def _written(folder):
    return {path.name for path in folder.glob("checkpoints/*.pt")}
