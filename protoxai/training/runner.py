"""A recipe run from beginning to end, or from where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from protoxai.evaluation.scores import evaluate
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.prototypes.provenance import Provenance
from protoxai.runtime.distributed import own_device, process_group, rank
from protoxai.training.build_model import build_model
from protoxai.training.feeding.loaders import Splits, evaluation_loader, evaluation_view
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.results import Row, RunResult, write_metrics
from protoxai.training.run_folder.run_record import (
    differences,
    plain_recipe,
    recorded_recipe,
    write_records,
)
from protoxai.training.run_folder.sample_pictures import write_samples
from protoxai.training.stages.actions import run_action
from protoxai.training.stages.checkpoints import Checkpoints, State
from protoxai.training.stages.stage import StageRun, fit_stage, run_loggers

TITLES = {"project": "projection"}


def run(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    log: Callable[[str], None] = print,
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
        recipe: Recipe to run.
        output: Folder of the run, made if it is missing.
        resume: Whether to continue from the newest intact checkpoint in the folder, if there is
            one; the result is that of a run that was never stopped.
        log: Function that receives one line for each stage and action.
        progress: Whether to show progress bars.
        splits: Data to use instead of the recipe's, such as a custom data set.
        model: Model to use instead of the recipe's, such as one with a custom backbone.

    Returns:
        The model and its scores.

    Raises:
        RunError: If the run cannot continue, or the folder holds another one.
        RecipeError: If the recipe needs something that its model does not have.

    Example:
        >>> result = run(Recipe.load("shapes"), "runs/shapes")  # doctest: +SKIP
    """
    with process_group():
        splits = splits or Splits.of(recipe.data)
        torch.manual_seed(recipe.seed)
        model = (model or build_model(recipe.model, splits.train)).to(own_device())
        state = _RunState(recipe, Path(output), model, splits, log, progress)
        state.start(resume=resume)
        state.run_stages()
        result = RunResult(recipe, model.eval(), splits, tuple(state.rows))
        if rank() == 0:
            model.save_pretrained(state.output / "model")
            write_metrics(state.output / "metrics.json", [result])
    return result


class _RunState:
    """State and main loop of one run."""

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        model: Segmenter,
        splits: Splits,
        log: Callable[[str], None],
        progress: bool,
    ) -> None:
        self.recipe = recipe
        self.output = output
        self.model = model
        self.splits = splits
        self.log = log
        self.progress = progress
        self.rows: list[Row] = []
        self.checkpoints = Checkpoints(output / "checkpoints")
        self.resumed: State = {"stage": 0, "part": "before"}

    def start(self, *, resume: bool) -> None:
        """Start a new run, or restore the newest checkpoint."""
        if not resume and self.checkpoints.paths():
            raise RunError(
                f"{self.output} holds a run already: continue it with --resume (resume=True), or "
                "choose another output folder"
            )
        state = self.checkpoints.newest() if resume else None
        if state is not None:
            changed = differences(recorded_recipe(state["recipe"]), plain_recipe(self.recipe))
            if changed:
                raise RunError(
                    f"{self.output} holds a run of another recipe (it differs in "
                    f"{', '.join(changed)}): resume with the recipe in {self.output}/recipe.yaml, "
                    "or choose another output folder"
                )
            self.resumed = state
            self.restore(state)
            self.write_log(f"resumed {self.recipe.name} at {self.position(state)}")
        elif rank() == 0:
            write_records(self.recipe, self.output)
        self.loggers = run_loggers(self.recipe, self.output)

    def run_stages(self) -> None:
        """Run the remaining stages."""
        for number in range(self.resumed["stage"], len(self.recipe.stages)):
            self.run_stage(number)

    def run_stage(self, number: int) -> None:
        """Run one stage: the actions before it, the training, the actions after it."""
        stage = self.recipe.stages[number]
        state: State = self.resumed if self.resumed["stage"] == number else {"part": "before"}
        seed = mixed_seed(self.recipe.seed, number)
        started = time.monotonic()
        if state["part"] == "before":
            # Independent of the stages before, so that a resumed run repeats the same choices.
            torch.manual_seed(seed)
            for action in stage.before:
                run_action(action, self.model, stage, self.recipe, self.splits, seed)
        if state["part"] != "after":
            fit_stage(
                StageRun(
                    model=self.model,
                    stage=stage,
                    recipe=self.recipe,
                    splits=self.splits,
                    seed=seed,
                    previous_steps=sum(stage.steps for stage in self.recipe.stages[:number]),
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
            run_action(action, self.model, stage, self.recipe, self.splits, seed)
            self.report(TITLES.get(action, action), started)
        self.save(number + 1, 0, "before")

    def report(self, step: str, started: float) -> None:
        """Evaluate the model, record and log its scores, and write sample predictions."""
        seconds = time.monotonic() - started
        data, recipe = self.splits.validation, self.recipe.data
        loader = evaluation_loader(data, recipe, self.model)
        scores = evaluate(self.model, loader, ignore_index=data.ignore_index)
        self.rows.append(Row(step, scores, seconds))
        prototypes = ""
        if scores.prototypes:
            prototypes = f", {scores.active_prototypes} of {scores.prototypes} prototypes active"
        self.write_log(f"{step}: mIoU {100 * scores.mean_iou:.1f}{prototypes} ({seconds:.0f} s)")
        if rank() == 0:
            name = f"{len(self.rows):02d}-{step.replace(' ', '-')}.png"
            view = evaluation_view(data, recipe, self.model)
            write_samples(self.model, view, self.output / "samples" / name)

    def save(self, stage: int, step: int | None, part: str, training: State | None = None) -> None:
        """Write a checkpoint from which the run can continue."""
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
            "rows": [row.to_plain() for row in self.rows],
            "training": training,
        }
        self.checkpoints.save(stage, step, state)

    def restore(self, state: State) -> None:
        """Load the model and the scores from a checkpoint."""
        if isinstance(self.model, ScaleProtoSeg):
            self.model.restructure(state["structure"])
            if state["provenance"] is not None:
                entries = map(Provenance.from_config, state["provenance"])
                self.model.provenance = tuple(entries)
        self.model.load_state_dict(state["model"])
        self.rows = [Row.from_plain(row) for row in state["rows"]]

    def position(self, state: State) -> str:
        """Return the position of a checkpoint in the run, in words."""
        if state["stage"] == len(self.recipe.stages):
            return "its end"
        name = self.recipe.stages[state["stage"]].name
        step = state["training"]["step"] if state["training"] else 0
        return f"stage {name}, step {step}" + (" (trained)" if state["part"] == "after" else "")

    def write_log(self, line: str) -> None:
        """Log a line, in the run's folder too."""
        if rank() == 0:
            self.log(line)
            self.output.mkdir(parents=True, exist_ok=True)
            with (self.output / "log.txt").open("a") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
