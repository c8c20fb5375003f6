"""A recipe run from beginning to end, or from where it was stopped."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from protoxai.evaluation.scores import Scores, evaluate
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.prototypes.provenance import Provenance
from protoxai.runtime.distributed import own_device, process_group, rank
from protoxai.training.build_model import build_model
from protoxai.training.feeding.loaders import Splits, evaluation_view, whole_images
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.errors import RunError
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.run_folder.run_record import differences, plain_recipe, write_records
from protoxai.training.run_folder.sample_pictures import write_samples
from protoxai.training.stages.actions import act
from protoxai.training.stages.checkpoints import Checkpoints, State
from protoxai.training.stages.stage import StageRun, fit_stage, run_loggers

Say = Callable[[str], None]
TITLES = {"project": "projection"}


@dataclass(frozen=True)
class Row:
    """The scores after a step of the run, and how long the step took, in seconds."""

    step: str
    scores: Scores
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        recipe: as it was run.
        model: the trained model, in evaluation mode.
        splits: the data.
        rows: scores after each stage and each action.
    """

    recipe: Recipe
    model: Segmenter
    splits: Splits
    rows: tuple[Row, ...]


def run(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    say: Say = print,
    progress: bool = True,
    splits: Splits | None = None,
    model: Segmenter | None = None,
) -> RunResult:
    """Train the recipe's model through all its stages, and evaluate it after each.

    The output folder gets ``recipe.yaml`` (as run), ``environment.json``, ``log.txt``, ``logs/``,
    ``checkpoints/``, ``samples/``, ``metrics.json`` and ``model/`` (see
    :meth:`~protoxai.ScaleProtoSeg.save_pretrained`). Under ``torchrun``, all processes train
    together and the first one writes.

    Args:
        recipe: what to do.
        output: folder, made if missing.
        resume: go on from the newest whole checkpoint in the folder, if there is one; the result
            is that of a run that was never stopped.
        say: gets a line for each stage and action.
        progress: show progress bars.
        splits: the data, where the recipe's is not to be opened (a custom data set).
        model: the model, where the recipe's is not to be built (a custom backbone).

    Returns:
        The model and its scores.

    Raises:
        RunError: if the run cannot go on, or the folder holds another.
        RecipeError: if the recipe asks for what its model does not have.

    Example:
        >>> result = run(Recipe.load("shapes"), "runs/shapes")  # doctest: +SKIP
    """
    with process_group():
        splits = splits or Splits.of(recipe.data)
        torch.manual_seed(recipe.seed)
        model = (model or build_model(recipe.model, splits.train)).to(own_device())
        walk = _Walk(recipe, Path(output), model, splits, say, progress)
        walk.begin(resume=resume)
        walk.go()
        result = RunResult(recipe, model.eval(), splits, tuple(walk.rows))
        if rank() == 0:
            model.save_pretrained(walk.output / "model")
            write_metrics(walk.output / "metrics.json", [result])
    return result


def write_metrics(path: Path, results: list[RunResult]) -> None:
    """Write the scores of runs as JSON."""
    content = {
        result.recipe.name: {
            "method": result.recipe.method,
            "target": result.recipe.target,
            "class_names": result.splits.train.class_names,
            "steps": [_plain_row(row) for row in result.rows],
        }
        for result in results
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_defined(content), indent=1, allow_nan=False) + "\n")


def _defined(value: Any) -> Any:
    """Return the value with null, which JSON knows, for NaN, which it does not."""
    if isinstance(value, dict):
        return {key: _defined(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


class _Walk:
    """One run: where it is, and the way on."""

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        model: Segmenter,
        splits: Splits,
        say: Say,
        progress: bool,
    ) -> None:
        self.recipe = recipe
        self.output = output
        self.model = model
        self.splits = splits
        self.say = say
        self.progress = progress
        self.rows: list[Row] = []
        self.checkpoints = Checkpoints(output / "checkpoints")
        self.resumed: State = {"stage": 0, "part": "before"}

    def begin(self, *, resume: bool) -> None:
        """Start anew, or take up the newest checkpoint."""
        if not resume and self.checkpoints.paths():
            raise RunError(
                f"{self.output} holds a run already: go on with it by --resume (resume=True), or "
                "choose another output folder"
            )
        state = self.checkpoints.newest() if resume else None
        if state is not None:
            other = differences(state["recipe"], plain_recipe(self.recipe))
            if other:
                raise RunError(
                    f"{self.output} holds a run of another recipe (it differs in "
                    f"{', '.join(other)}): resume with the recipe in {self.output}/recipe.yaml, or "
                    "choose another output folder"
                )
            self.resumed = state
            self.take_up(state)
            self.tell(f"resumed {self.recipe.name} at {self.where(state)}")
        elif rank() == 0:
            write_records(self.recipe, self.output)
        self.loggers = run_loggers(self.recipe, self.output)

    def go(self) -> None:
        """Walk the stages that are left."""
        for number in range(self.resumed["stage"], len(self.recipe.stages)):
            self.walk_stage(number)

    def walk_stage(self, number: int) -> None:
        """Do what comes before, train, evaluate, do what comes after."""
        stage = self.recipe.stages[number]
        state: State = self.resumed if self.resumed["stage"] == number else {"part": "before"}
        seed = mixed_seed(self.recipe.seed, number)
        started = time.monotonic()
        if state["part"] == "before":
            # What is random here does not depend on the stages before: a resumed run repeats it.
            torch.manual_seed(seed)
            for action in stage.before:
                act(action, self.model, stage, self.recipe, self.splits, seed)
        if state["part"] != "after":
            fit_stage(
                StageRun(
                    model=self.model,
                    stage=stage,
                    recipe=self.recipe,
                    splits=self.splits,
                    seed=seed,
                    earlier=sum(stage.steps for stage in self.recipe.stages[:number]),
                    loggers=self.loggers,
                    progress=self.progress and rank() == 0,
                    save=lambda step, training: self.save(number, step, "training", training),
                ),
                state.get("training"),
            )
            self.report(stage.name, started)
            self.save(number, None, "after")
        for action in stage.after:
            started = time.monotonic()
            act(action, self.model, stage, self.recipe, self.splits, seed)
            self.report(TITLES.get(action, action), started)
        self.save(number + 1, 0, "before")

    def report(self, step: str, started: float) -> None:
        """Evaluate, keep the scores, say them, and draw sample predictions."""
        seconds = time.monotonic() - started
        data, recipe = self.splits.validation, self.recipe.data
        loader = whole_images(data, recipe, self.model)
        scores = evaluate(self.model, loader, ignore_index=data.ignore_index)
        self.rows.append(Row(step, scores, seconds))
        prototypes = ""
        if scores.prototypes:
            prototypes = f", {scores.active_prototypes} of {scores.prototypes} prototypes active"
        self.tell(f"{step}: mIoU {100 * scores.mean_iou:.1f}{prototypes} ({seconds:.0f} s)")
        if rank() == 0:
            name = f"{len(self.rows):02d}-{step.replace(' ', '-')}.png"
            view = evaluation_view(data, recipe, self.model)
            write_samples(self.model, view, self.output / "samples" / name)

    def save(self, stage: int, step: int | None, part: str, training: State | None = None) -> None:
        """Write a checkpoint of everything the run needs to go on from here."""
        if rank() != 0:
            return
        model = self.model
        provenance = None
        if isinstance(model, ScaleProtoSeg) and model.provenance is not None:
            provenance = [entry.to_config() for entry in model.provenance]
        state: State = {
            "recipe": plain_recipe(self.recipe),
            "stage": stage,
            "part": part,
            "structure": model.structure() if isinstance(model, ScaleProtoSeg) else None,
            "model": model.state_dict(),
            "provenance": provenance,
            "rows": [_plain_row(row) for row in self.rows],
            "training": training,
        }
        self.checkpoints.save(stage, step, state)

    def take_up(self, state: State) -> None:
        """Give the model and the scores what a checkpoint holds."""
        if isinstance(self.model, ScaleProtoSeg):
            self.model.restructure(state["structure"])
            if state["provenance"] is not None:
                entries = map(Provenance.from_config, state["provenance"])
                self.model.provenance = tuple(entries)
        self.model.load_state_dict(state["model"])
        self.rows = [_row(row) for row in state["rows"]]

    def where(self, state: State) -> str:
        """Say where a checkpoint lies."""
        if state["stage"] == len(self.recipe.stages):
            return "its end"
        name = self.recipe.stages[state["stage"]].name
        step = state["training"]["step"] if state["training"] else 0
        return f"stage {name}, step {step}" + (" (trained)" if state["part"] == "after" else "")

    def tell(self, line: str) -> None:
        """Say a line, and write it to the run's log."""
        if rank() == 0:
            self.say(line)
            self.output.mkdir(parents=True, exist_ok=True)
            with (self.output / "log.txt").open("a") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def _plain_row(row: Row) -> dict[str, Any]:
    values = {"step": row.step, "seconds": row.seconds, **asdict(row.scores)}
    return {**values, "per_class": list(row.scores.per_class)}


def _row(values: dict[str, Any]) -> Row:
    scores = {name: value for name, value in values.items() if name not in ("step", "seconds")}
    scores["per_class"] = tuple(scores["per_class"])
    return Row(values["step"], Scores(**scores), values["seconds"])
