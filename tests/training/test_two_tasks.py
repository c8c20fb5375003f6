"""Two tasks of Slurm's srun: uneven shares, none at all, and a class that one task alone has."""

import os
import re
import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from protoxai.comparison import compare
from protoxai.evaluation import evaluate
from protoxai.losses import ScaleProtoSegLoss
from protoxai.runtime.distributed import (
    ProcessError,
    gather_results,
    process_group,
    rank,
    world_size,
)
from protoxai.training import Recipe, run
from protoxai.training.feeding.loaders import Splits, evaluation_loader
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages.actions import run_action
from protoxai.training.stages.callbacks import Validation
from tests.comparison.toys import TASKS, Scripted, red, same_values
from tests.training.cases import Halves, micro, stage, toy_model, write

ESTIMATE_AND_TASK = ["estimate", "task"]
METRICS = ["sparseness", "complexity", "pointing_game"]


def recipe(folder: Path, batch_size: int) -> Recipe:
    keys = micro()
    keys["data"].update(batch_size=batch_size, evaluation_batch_size=2, class_balance=0.0)
    keys["data"].update(crop=[32, 48], color_jitter=0.0)
    keys["loggers"] = []
    keys["stages"] = [
        {
            "name": "joint",
            "steps": 60,
            "before": ["initialise"],
            "after": ["project"],
            "learning_rates": {"backbone": 3e-2, "scales": 3e-2, "prototypes": 1e-1},
            "losses": {"cross_entropy": 1.0, "prototype_diversity": 0.25, "sample_entropy": 0.1},
            "validate": 1,
            "patience": 2,
            "keep_best": True,
        }
    ]
    return Recipe.load(write(keys, folder))


def splits(length: int) -> Splits:
    return Splits(Halves(length), Halves(length), Halves(length))


def model() -> Any:
    torch.manual_seed(3)
    return toy_model()


def initialised(folder: Path, batch_size: int) -> Tensor:
    made = model()
    run_action("initialise", made, stage(), recipe(folder, batch_size), splits(5), seed=1)
    return made.prototype_layer.prototypes.detach().clone()


def scored(folder: Path, images: int) -> str:
    keys = recipe(folder, 1).data
    made = model()
    return repr(evaluate(made, evaluation_loader(Halves(images), keys, made)))


def projected(folder: Path, images: int) -> list[dict[str, Any]]:
    made = model()
    run_action("project", made, stage(), recipe(folder, 1), splits(images), seed=1)
    return [entry.to_config() for entry in made.provenance]


def losses(own: Sequence[int]) -> dict[str, Tensor]:
    """The terms and the gradient of images of one class each, averaged over processes."""
    made = model().eval()
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(2)[:, None, None].expand(2, 32, 48)
    criterion = ScaleProtoSegLoss(
        prototype_diversity=0.3, sample_entropy=0.2, activation_norm_l1=0.1, off_class_l1=0.1
    )
    terms = criterion(made(images[own]), labels[own], made.head)
    terms["loss"].backward()
    result = {name: term.detach() for name, term in terms.items()}
    gradients = [p.grad.flatten() for p in made.parameters() if p.grad is not None]
    result["gradient"] = torch.cat(gradients)
    for value in result.values():
        if distributed.is_initialized():
            distributed.all_reduce(value)
            value /= world_size()
    return result


def compared(folder: Path, log: Callable[[str], None] | None = None) -> Any:
    explainers = [Scripted("red", red), Scripted("blue", lambda images, _: images[:, 2])]
    return compare(explainers, TASKS, metrics=METRICS, output=folder, log=log or (lambda _: None))


def kinds(lines: list[str]) -> list[str]:
    """Whether each line estimates the time of all tasks, or says that one is done."""
    return ["task" if re.match(r"task \d+ of \d+: ", line) else "estimate" for line in lines]


def failing(folder: Path) -> str:
    """The error of this process where the second fails."""

    def log(line: str) -> None:
        if rank() == 1:
            raise OSError("no space left")

    with pytest.raises((OSError, ProcessError)) as failure:
        compared(folder, log)
    return f"{failure.type.__name__}: {failure.value}"


def trained(folder: Path) -> dict[str, Any]:
    validated: list[Any] = []
    unchanged = Validation.__call__

    def noted(self: Validation, module: Any) -> None:
        unchanged(self, module)
        state = self.state
        validated.append((state["step"], state["best"], state["since"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "__call__", noted)
        result = run(
            recipe(folder, 1), folder / "run", splits=splits(5), model=model(), progress=False
        )
    return {"validated": validated, "weights": result.model.state_dict()}


def task(number: int, folder: Path, port: int) -> None:
    """What the two tasks do, as srun starts them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    own = folder / str(number)
    own.mkdir()
    step = {"STEP_ID": 0, "STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 1, "STEP_NODELIST": "here"}
    values = {"JOB_ID": 7, "NTASKS": 2, "PROCID": number, "LOCALID": number, **step}
    os.environ.update({f"SLURM_{name}": str(value) for name, value in values.items()})
    os.environ["MASTER_PORT"] = str(port)
    lines: list[str] = []
    with process_group():
        assert (rank(), world_size()) == (number, 2)
        done = {
            "prototypes": initialised(own, 1),
            "scores": [scored(own, images) for images in (5, 1)],
            "provenance": [projected(own, images) for images in (5, 1)],
            "losses": losses([number]),
            "error": failing(folder / "failed"),
        }
        compared(folder / "table", lines.append)
        done["lines"] = [list(lines)]
        # One of two tasks is missing, which leaves a process without work.
        for measured in (folder / "table" / "results").glob("task-9-*"):
            if number == 0:
                measured.unlink()
        gather_results(lambda: None)
        done["table"] = compared(folder / "table", lines.append).to_json()
        done["lines"].append(lines[len(done["lines"][0]) :])
        done |= trained(own.parent)
    torch.save(done, folder / f"{number}.pt")


@pytest.mark.slow
def test_two_tasks_do_what_one_process_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(task, (tmp_path, port), nprocs=2)
    first, second = (torch.load(tmp_path / f"{n}.pt", weights_only=False) for n in (0, 1))

    assert torch.equal(first["prototypes"], second["prototypes"])
    torch.testing.assert_close(first["prototypes"], initialised(tmp_path, 2))
    for done in (first, second):
        assert done["scores"] == [scored(tmp_path, images) for images in (5, 1)]
        assert done["provenance"] == [projected(tmp_path, images) for images in (5, 1)]

    alone = losses([0, 1])
    assert float(alone["prototype_diversity"]) > 0
    for name, value in alone.items():
        torch.testing.assert_close(first["losses"][name], value, rtol=1e-5, atol=1e-6, msg=name)

    assert first["error"] == "ProcessError: process 1 has failed (OSError: no space left)"
    assert second["error"] == "OSError: no space left"
    assert first["table"] == second["table"]
    for done, again in ((first, []), (second, ESTIMATE_AND_TASK)):
        assert [kinds(printed) for printed in done["lines"]] == [ESTIMATE_AND_TASK, again]
    lines: list[str] = []
    assert compared(tmp_path / "table", lines.append).to_json() == first["table"]
    assert lines == []
    assert same_values(compared(tmp_path / "alone"), compared(tmp_path / "table"))

    assert first["validated"] == second["validated"]
    assert first["validated"][-1][0] < 60
    assert first["validated"][-1][2] == 2
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    with pytest.raises(RunError, match=r"a run of 2 processes, and this one has 1, .* resume with"):
        run(
            replace(recipe(tmp_path, 1)),
            tmp_path / "run",
            resume=True,
            splits=splits(5),
            model=model(),
        )
