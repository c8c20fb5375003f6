"""Two processes train as one with the double batch: losses, prototypes and scores."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from protoxai.cli.main import main
from protoxai.training.stages.checkpoints import Checkpoints

RECIPE = """
name: micro
data: {{dataset: shapes, options: {{size: 64, length: 8}}, crop: [64, 64], batch_size: {batch},
       evaluation_size: [64, 64], color_jitter: 0.2, class_balance: 0.5}}
model: {{backbone: timm/test_resnet, pretrained: false, prototypes_per_scale: 2, prototype_dim: 4,
        atrous_rates: [1, 2], output_stride: 8, freeze_batchnorm: true, init_gain: 1.0}}
log_every: 1
loggers: [csv]
stages:
"""
# Two steps: Adam divides rounding errors by the gradients' sizes, so that later ones drift.
PROTOTYPES = """
  - name: joint training
    steps: 2
    accumulate_grad_batches: 2
    before: [initialise]
    after: [project]
    learning_rates: {scales: 1.0e-4, prototypes: 1.0e-3}
    losses: {prototype_diversity: 0.25, sample_entropy: 0.1}
"""
# After the same start: an activation near a hit magnifies the rounding of a stage before.
GROUPS = """
  - name: grouping
    steps: 3
    before: [initialise, group]
    after: [threshold]
    cached_views: 1
    learning_rates: {groups: 1.0e-2, last_layer: 1.0e-2}
    losses: {group_entropy: 0.05, off_class_l1: 1.0e-3, group_diversity: 0.1}
"""


def protoxai(processes, *arguments):
    if processes == 1:
        assert main([str(argument) for argument in arguments]) == 0
        return
    process = started(processes, *arguments)
    error = process.communicate()[1]
    assert process.returncode == 0, error[-3000:]


def started(processes, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "-m", "protoxai.cli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def train(folder, processes, stages):
    folder.mkdir()
    recipe = folder / "micro.yaml"
    recipe.write_text(RECIPE.format(batch=4 // processes) + stages)
    protoxai(processes, "train", recipe, "--output", folder / "run")
    return folder / "run"


def logged(run, key):
    with (run / "logs" / "csv" / "version_0" / "metrics.csv").open() as file:
        return [float(row[key]) for row in csv.DictReader(file) if row[key]]


def assert_same(one, two, terms):
    for term in terms:
        first, second = (torch.tensor(logged(run, f"train/{term}")) for run in (one, two))
        assert len(first) == len(second) >= 2
        assert torch.allclose(first, second, rtol=1e-6, atol=1e-6), term


@pytest.mark.slow
def test_prototypes_train_and_are_projected_alike(tmp_path):
    one, two = (train(tmp_path / str(number), number, PROTOTYPES) for number in (1, 2))
    assert_same(one, two, ("loss", "cross_entropy", "prototype_diversity", "sample_entropy"))
    provenance = [json.loads((run / "model/provenance.json").read_text()) for run in (one, two)]
    places = [[(e["image_id"], e["row"], e["col"]) for e in entries] for entries in provenance]
    assert places[0] == places[1]
    first, second = (load_file(run / "model/model.safetensors") for run in (one, two))
    name = "prototype_layer.prototypes"
    assert torch.allclose(first[name], second[name], atol=1e-6)


@pytest.mark.slow
def test_groups_train_alike(tmp_path):
    one, two = (train(tmp_path / str(number), number, GROUPS) for number in (1, 2))
    assert_same(one, two, ("loss", "cross_entropy", "group_entropy", "group_diversity"))
    scores = []
    for processes in (1, 2):
        file = tmp_path / f"scores{processes}.json"
        protoxai(
            processes, "evaluate", one, "--output", file, "--data.options={size: 64, length: 7}"
        )
        scores.append(json.loads(file.read_text()))
    assert [content.pop("conditions")["processes"] for content in scores] == [1, 2]
    for name in ("per_class", "dice", "precision", "recall", "interval"):
        assert scores[0].pop(name) == pytest.approx(scores[1].pop(name), nan_ok=True)
    assert scores[0] == scores[1]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_processes_at_the_same_step(tmp_path, sent):
    recipe, run = tmp_path / "micro.yaml", tmp_path / "run"
    recipe.write_text(RECIPE.format(batch=2) + PROTOTYPES.replace("steps: 2", "steps: 100000"))
    changes = ["--checkpoint_every=2", "--loggers=[]", "--no-check"]
    process = started(2, "train", recipe, "--output", run, *changes)
    while process.poll() is None and not list(run.glob("checkpoints/*step00000004.pt")):
        time.sleep(0.1)
    process.send_signal(sent)
    error = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    (line,) = [line for line in error.splitlines() if line.startswith("protoxai: ")]
    step = Checkpoints(run / "checkpoints").newest()["training"]["step"]
    stopped = f"stopped at stage joint training, step {step}; checkpoint at step {step}; continue"
    assert stopped in line
    assert not (run / "run.lock").exists()
