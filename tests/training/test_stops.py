"""What stops a run, an error or a signal, is named with its place; what is trained is kept."""

import os
import shutil
import signal

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from protoxai.losses import ScaleProtoSegLoss
from protoxai.runtime.stopping import Stopped
from protoxai.training import Recipe, run, runner
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.run_folder import ownership
from protoxai.training.stages import callbacks
from protoxai.training.stages.checkpoints import Checkpoints
from protoxai.training.stages.lightning_module import StageModule
from tests.training.cases import micro, write

RECIPE = """
name: stops
data: {{dataset: folder, root: {root}, options: {{num_classes: 3}}, crop: [64, 64], batch_size: 2,
       scale_range: [1.0, 1.0], workers: {workers}}}
model: {{backbone: timm/test_resnet, pretrained: false, prototypes_per_scale: 1, prototype_dim: 4,
        atrous_rates: [1, 2], output_stride: 8}}
checkpoint_every: 1
loggers: []
stages:
  - {{name: joint training, steps: 8, learning_rates: {{scales: 1.0e-3, prototypes: 1.0e-3}}}}
"""


@pytest.fixture
def folder(tmp_path):
    """Two training and one validation image."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 4), ("val", 1)):
        for kind in ("images", "labels"):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(0, 256, (64, 64, 3), generator=generator, dtype=torch.uint8)
            labels = torch.randint(0, 3, (64, 64), generator=generator, dtype=torch.uint8)
            at = tmp_path / "data" / split
            Image.fromarray(pixels.numpy()).save(at / "images" / f"scene{number}.png")
            Image.fromarray(labels.numpy()).save(at / "labels" / f"scene{number}.png")
    return tmp_path


def start(folder, workers=0):
    path = folder / "stops.yaml"
    path.write_text(RECIPE.format(root=folder / "data", workers=workers))
    quiet = {"log": lambda _: None, "progress": False}
    return run(Recipe.load(path), folder / "run", check=False, **quiet)


def spoil_after_two_steps(monkeypatch, spoil):
    """Do something to the data once two checkpoints are written."""
    save, count = Checkpoints.save, iter(range(10**6))

    def save_then_spoil(self, *args):
        path = save(self, *args)
        if next(count) == 1:
            spoil()
        return path

    monkeypatch.setattr(Checkpoints, "save", save_then_spoil)


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_image(folder, monkeypatch, workers):
    def spoil():
        for path in (folder / "data" / "train" / "images").iterdir():
            path.write_bytes(path.read_bytes()[:100])

    if workers:
        spoil()
    else:
        spoil_after_two_steps(monkeypatch, spoil)
    # Cached images would not be read again.
    monkeypatch.setattr("protoxai.data.FolderDataset.__init__", uncached(monkeypatch))
    with pytest.raises(RunError, match=r"stage joint training, step \d: .*scene\d\.png") as stop:
        start(folder, workers)
    assert "\n" not in str(stop.value)
    if not workers:
        assert Checkpoints(folder / "run" / "checkpoints").newest()["training"]["step"] == 2


def test_label_out_of_range(folder):
    file = folder / "data" / "train" / "labels" / "scene1.png"
    Image.new("L", (64, 64), 7).save(file)
    with pytest.raises(RunError, match=r"step \d: .*scene1.*7.*expected classes 0 to 2"):
        start(folder)


def test_loss_that_is_not_finite(folder, monkeypatch):
    forward, count = ScaleProtoSegLoss.forward, iter(range(10**6))

    def diverge(self, *args):
        terms = forward(self, *args)
        if next(count) == 3:
            terms["loss"] = terms["loss"] * float("nan")
        return terms

    monkeypatch.setattr(ScaleProtoSegLoss, "forward", diverge)
    with pytest.raises(RunError, match=r"step 3: the loss is not finite.*images scene\d, scene\d"):
        start(folder)
    newest = Checkpoints(folder / "run" / "checkpoints").newest()
    assert newest["training"]["step"] == 3
    assert all(value.isfinite().all() for value in newest["model"].values())


@pytest.fixture
def short(tmp_path):
    """`short(**options)` runs the micro recipe, with a checkpoint only at the end of a stage."""

    def start(change=lambda keys: None, **options):
        keys = {**micro(), "loggers": []}
        change(keys)
        recipe = Recipe.load(write(keys, tmp_path))
        quiet = {"log": lambda _: None, "progress": False}
        return run(recipe, tmp_path / "run", check=False, **quiet, **options)

    start.checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    start.log = tmp_path / "run" / "log.txt"
    return start


def before_call(monkeypatch, place, name, number, act):
    """Do something before the call of that number."""
    original, count = getattr(place, name), iter(range(10**6))

    def acting(*args, **options):
        if next(count) == number:
            act()
        return original(*args, **options)

    monkeypatch.setattr(place, name, acting)


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def failing():
    raise ZeroDivisionError("a bug")


def weights(result):
    return {name: value.clone() for name, value in result.model.state_dict().items()}


# The place of the signal, the stop that the user sees, and the number of steps that are kept.
STOPS = [
    (StageModule, "training_step", 1, "joint training, step 2; checkpoint at step 2", 2),
    (StageModule, "training_step", 0, "joint training, step 1; checkpoint at step 1", 1),
    (runner, "evaluate", 0, "joint training, step 2 (evaluation); checkpoint at step 2", None),
    (runner, "run_action", 1, "joint training, step 2 (projection); checkpoint at step 2", None),
    (runner, "run_action", 2, "grouping, step 0 (group); checkpoint at step 0", None),
    (StageModule, "training_step", 3, "grouping, step 2; checkpoint at step 2", 2),
    (runner, "write_samples", 3, "grouping, step 3 (evaluation); checkpoint at step 3", None),
    (runner, "write_metrics", 0, "grouping, step 3 (evaluation); checkpoint at step 3", None),
]


@pytest.mark.parametrize(
    ("place", "name", "number", "seen", "step"),
    [STOPS[0], *(pytest.param(*stop, marks=pytest.mark.slow) for stop in STOPS[1:])],
)
def test_a_signal_in_any_phase(short, monkeypatch, capsys, place, name, number, seen, step):
    complete = weights(run_elsewhere(short))
    with monkeypatch.context() as patch:
        before_call(patch, place, name, number, send)
        with pytest.raises(Stopped) as stop:
            short()
    line = f"stopped at stage {seen}; continue with --resume"
    assert (stop.value.code, str(stop.value)) == (143, line)
    assert capsys.readouterr().err == f"protoxai: {line}\n"
    assert short.log.read_text().splitlines()[-1].endswith(line)
    assert not (short.log.parent / "run.lock").exists()
    state = short.checkpoints.newest()
    if step is not None:
        assert state["training"]["step"] == step
    resumed = short(resume=True)
    assert [row.step for row in resumed.rows] == [
        "joint training",
        "projection",
        "grouping",
        "threshold",
    ]
    for key, value in weights(resumed).items():
        assert torch.equal(value, complete[key]), key


complete_run = {}


def run_elsewhere(short):
    """Return the result of the run that nothing stops, computed once."""
    if not complete_run:
        complete_run["result"] = short()
        shutil.rmtree(short.log.parent)
    return complete_run["result"]


def test_a_signal_before_the_first_checkpoint(short, monkeypatch):
    before_call(monkeypatch, runner, "run_action", 0, lambda: send(signal.SIGINT))
    with pytest.raises(Stopped) as stop:
        short()
    assert stop.value.code == 130
    assert str(stop.value) == (
        "stopped at stage joint training, step 0 (initialise); no checkpoint yet; start again "
        "without --resume"
    )
    monkeypatch.undo()
    assert len(short().rows) == 4


@pytest.mark.slow
def test_a_signal_within_an_accumulated_step(short, monkeypatch):
    before_call(monkeypatch, StageModule, "training_step", 0, send)
    with pytest.raises(Stopped, match="step 1; checkpoint at step 1"):
        short(lambda keys: keys["stages"][0].update(accumulate_grad_batches=3))


@pytest.mark.slow
def test_a_second_stop_of_the_same_run(short, monkeypatch):
    for resume in (False, True):
        with monkeypatch.context() as patch:
            before_call(patch, StageModule, "training_step", 0, send)
            with pytest.raises(Stopped):
                short(resume=resume)
    assert short.checkpoints.newest()["training"]["step"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(("place", "name"), [(runner, "evaluate"), (runner, "write_samples")])
def test_a_failing_report_loses_no_weights(short, monkeypatch, place, name):
    complete = weights(run_elsewhere(short))
    for number, kept in ((0, ("after", 0)), (3, ("before", 2))):
        with monkeypatch.context() as patch:
            before_call(patch, place, name, number, failing)
            with pytest.raises(ZeroDivisionError):
                short(resume=number > 0)
        state = short.checkpoints.newest()
        assert (state["part"], state["stage"]) == kept
    assert (short.log.parent / "model" / "model.safetensors").is_file()
    for key, value in weights(short(resume=True)).items():
        assert torch.equal(value, complete[key]), key


@pytest.mark.slow
def test_a_failing_logger_loses_no_step(short, monkeypatch):
    complete = weights(run_elsewhere(short))
    with monkeypatch.context() as patch:
        before_call(patch, CSVLogger, "log_metrics", 0, failing)
        with pytest.raises(ZeroDivisionError):
            short(lambda keys: keys.update(loggers=["csv"], log_every=1))
    assert short.checkpoints.newest()["training"]["step"] == 1
    for key, value in weights(short(resume=True)).items():
        assert torch.equal(value, complete[key]), key


@pytest.mark.slow
def test_a_failing_validation_loses_no_step(short, monkeypatch):
    def change(keys):
        keys["stages"][0].update(validate="epoch", steps=6, keep_best=True)

    complete = weights(short(change))
    shutil.rmtree(short.log.parent)
    with monkeypatch.context() as patch:
        before_call(patch, callbacks, "grid_scores", 0, failing)
        with pytest.raises(ZeroDivisionError):
            short(change)
    state = short.checkpoints.newest()["training"]
    assert (state["step"], state["validation"]["step"]) == (4, 0)
    resumed = short(change, resume=True)
    for key, value in weights(resumed).items():
        assert torch.equal(value, complete[key]), key


def test_a_run_whose_evaluation_cannot_work_is_resumed_with_a_key_that_can(folder):
    path = folder / "data" / "val"
    Image.new("RGB", (80, 64)).save(path / "images" / "wider.png")
    Image.new("L", (80, 64)).save(path / "labels" / "wider.png")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(root=folder / "data", workers=0))
    keys = {"data.evaluation_batch_size": 2}
    quiet = {"log": lambda _: None, "progress": False, "check": False}
    with pytest.raises(RunError, match=r"^stage joint training, step 8 \(evaluation\): "):
        run(Recipe.load(recipe, keys), folder / "run", **quiet)
    keys = {"data.evaluation_batch_size": 1}
    result = run(Recipe.load(recipe, keys), folder / "run", resume=True, **quiet)
    assert [row.step for row in result.rows] == ["joint training"]


def test_a_killed_worker_is_named_with_the_place(short, monkeypatch):
    def killed():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    before_call(monkeypatch, StageModule, "on_train_start", 1, killed)
    with pytest.raises(RunError, match=r"stage grouping, step 0: a worker .*pid 7.*memory ran out"):
        short()


def test_a_worker_that_a_signal_has_ended_is_no_error(short, monkeypatch):
    def signalled():
        send()
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")

    before_call(monkeypatch, StageModule, "on_train_batch_start", 1, signalled)
    with pytest.raises(Stopped):
        short()


def test_a_bug_in_training_keeps_its_class(short, monkeypatch):
    def bug():
        raise ValueError("not of the library")

    before_call(monkeypatch, StageModule, "training_step", 1, bug)
    with pytest.raises(ValueError, match="not of the library") as caught:
        short()
    assert type(caught.value) is ValueError


def test_another_run_in_the_same_folder_is_refused(short, monkeypatch):
    other = os.getppid()
    monkeypatch.setattr(ownership, "_process_start", lambda pid: None)
    short.log.parent.mkdir(parents=True)
    (short.log.parent / "run.lock").write_text(
        f'{{"pid": {other}, "host": "{ownership.socket.gethostname()}"}}'
    )
    with pytest.raises(RunError, match=rf"is used by another run \(process {other}"):
        short()
    assert not short.checkpoints.paths()


def uncached(monkeypatch):
    from protoxai.data import FolderDataset

    original = FolderDataset.__init__

    def start_uncached(self, *args, **options):
        original(self, *args, **{**options, "cache": False})

    return start_uncached
