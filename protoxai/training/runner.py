"""A recipe run from beginning to end, or from where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from protoxai.evaluation.scores import evaluate
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.console import PLAIN, print_line
from protoxai.runtime.distributed import own_device, process_group, rank, world_size
from protoxai.runtime.paths import expanded
from protoxai.runtime.slug import slug
from protoxai.runtime.stopping import finish_first, on_stop, stoppable
from protoxai.training.build_model import build_model
from protoxai.training.class_names import check_classes_fit, check_same_classes, check_splits_fit
from protoxai.training.evaluation_settings import recipe_settings
from protoxai.training.feeding.loaders import Splits, evaluation_loader, evaluation_view
from protoxai.training.feeding.seeded_sampling import mixed_seed
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.stage_recipe import BEFORE_PROJECTION, Action, Stage
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.rehearsal import check_data, rehearse
from protoxai.training.results import Row, RunResult, write_metrics
from protoxai.training.run_folder.ownership import owned
from protoxai.training.run_folder.resuming import Place, place_of, state_to_resume
from protoxai.training.run_folder.run_record import plain_recipe, write_environment, write_recipe
from protoxai.training.run_folder.sample_pictures import write_samples
from protoxai.training.stages.actions import run_action
from protoxai.training.stages.checkpoints import Checkpoints, State
from protoxai.training.stages.errors import explaining
from protoxai.training.stages.model_state import model_state, restore_model
from protoxai.training.stages.stage import StageRun, fit_stage, run_loggers

TITLES = {"project": "projection", "prune": "pruning"}


def run(
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    log: Callable[[str], None] = print_line,
    progress: bool = True,
    check: bool = True,
    splits: Splits | None = None,
    model: Segmenter | None = None,
) -> RunResult:
    """Train the recipe's model through all its stages, and evaluate it after each.

    The output folder gets ``recipe.yaml`` (as run), ``environment.json``, ``labels.json``,
    ``log.txt``, ``logs/``, ``checkpoints/``, ``samples/``, ``metrics.json`` and ``model/`` (see
    :meth:`~protoxai.ScaleProtoSeg.save_pretrained`); no other run may use it at the same time.
    Under ``torchrun``, all processes train together and the first one writes.

    A new run first counts the labels of up to 500 images per split, in at most 30 seconds, and
    tries one batch of evaluation, projection and training.

    Everything that is trained is saved before it is evaluated, so that nothing is lost if the
    evaluation fails. SIGTERM and SIGINT (Ctrl-C) end the training after the current step, which
    is saved, and the process.

    Args:
        recipe: Recipe to run.
        output: Folder of the run, made if it is missing.
        resume: Whether to continue from the newest intact checkpoint in the folder; the result is
            that of a run that was never stopped.
        log: Function that receives one line for each stage and action.
        progress: Whether to show progress bars.
        check: Whether to check the labels and to try a batch before a new run begins.
        splits: Data to use instead of the recipe's, such as a custom data set.
        model: Model to use instead of the recipe's, such as one with a custom backbone.

    Returns:
        The model and its scores.

    Raises:
        RunError: If the run cannot continue, or the folder holds or is used by another one.
        Stopped: If a signal has stopped the run.
        RecipeError: If the recipe needs something that its model does not have.
        DataError: If no model can be trained on the labels.

    Example:
        >>> result = run(Recipe.load("shapes"), "runs/shapes")  # doctest: +SKIP
    """
    output = expanded(output, "output")
    with stoppable(), process_group(), owned(output):
        splits = splits or Splits.of(recipe.data)
        torch.manual_seed(recipe.seed)
        model = (model or build_model(recipe.model, splits.train)).to(own_device())
        check_splits_fit(splits)
        check_classes_fit(model, splits.train)
        model.evaluation_settings = recipe_settings(recipe.data)
        model.palette = splits.train.palette
        state = _RunState(recipe, output, model, splits, log, progress)
        with on_stop(state.describe_stop):
            state.start(resume=resume)
            if check and not resume:
                check_data(recipe, splits, output, state.write_log)
                rehearse(model, recipe, splits)
            state.run_stages()
            result = RunResult(recipe, model.eval(), splits, tuple(state.rows))
            if rank() == 0:
                write_metrics(output / "metrics.json", [result])
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
        # The step that is saved but not evaluated yet, and its seconds.
        self.unreported: tuple[str, float] | None = None
        self.checkpoints = Checkpoints(output / "checkpoints")
        self.resumed: State = {"stage": 0, "part": "before"}
        self.place = Place(recipe.stages[0].name, 0)
        self.saved: Place | None = None

    def start(self, *, resume: bool) -> None:
        """Start a new run, or restore the newest checkpoint."""
        if resume:
            state = state_to_resume(self.output, self.checkpoints, self.recipe)
            self.restore(state)
            self.write_log(f"resumed {self.recipe.name} at {self.place}")
        elif self.checkpoints.paths():
            raise RunError(
                f"{self.output} holds a run already: continue it with --resume (resume=True), or "
                "choose another output folder"
            )
        else:
            write_environment(self.recipe, self.output)
        # Some keys may change when a run continues.
        write_recipe(self.recipe, self.output)
        self.loggers = run_loggers(self.recipe, self.output)

    def run_stages(self) -> None:
        """Run the remaining stages."""
        for number in range(self.resumed["stage"], len(self.recipe.stages)):
            self.run_stage(number)
        if rank() == 0:
            with finish_first():
                self.model.save_pretrained(self.output / "model")
        self.report()

    def run_stage(self, number: int) -> None:
        """Run one stage: the actions before it, the training, the actions after it.

        Every result is saved before it is reported, the last one by the next stage.
        """
        stage = self.recipe.stages[number]
        state: State = self.resumed if self.resumed["stage"] == number else {"part": "before"}
        seed = mixed_seed(self.recipe.seed, number)
        started = time.monotonic()
        self.report()
        if state["part"] == "before":
            # Independent of the stages before, so that a resumed run repeats the same choices.
            torch.manual_seed(seed)
            for action in stage.before:
                self.act(action, stage, Place(stage.name, 0), seed)
        if state["part"] != "after":

            def save(step: int, training: State | None) -> None:
                self.place = Place(stage.name, step)
                if training is None:
                    self.unreported = (stage.name, time.monotonic() - started)
                self.save(number, "training" if training else "after", step, training)

            self.forget_projection(stage)
            training = state.get("training")
            self.place = Place(stage.name, training["step"] if training else 0)
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
                    save=save,
                ),
                training,
            )
        for action in stage.after:
            self.report()
            started = time.monotonic()
            self.act(action, stage, Place(stage.name, self.place.step), seed)
            self.unreported = (TITLES.get(action, action), time.monotonic() - started)
        self.save(number + 1, "before", 0)

    def forget_projection(self, stage: Stage) -> None:
        """Drop the patches of the projection, and say so, if a stage makes them wrong."""
        moving = [part for part in BEFORE_PROJECTION if part in stage.learning_rates]
        model = self.model
        if moving and isinstance(model, ScaleProtoSeg) and model.projection is not None:
            model.projection = None
            self.write_log(
                f"{stage.name} trains {', '.join(moving)}: the prototypes are no longer the "
                "training patches of the projection, until they are projected again"
            )

    def act(self, action: Action, stage: Stage, place: Place, seed: int) -> None:
        """Run an action of a stage."""
        self.place = replace(place, during=TITLES.get(action, action))
        with explaining(lambda: self.place):
            run_action(action, self.model, stage, self.recipe, self.splits, seed)

    def report(self) -> None:
        """Record and log the scores of the last step, unless done, and write sample predictions."""
        if self.unreported is None:
            return
        step, seconds = self.unreported
        self.place = replace(self.place, during="evaluation")
        with explaining(lambda: self.place):
            data, recipe = self.splits.validation, self.recipe.data
            loader = evaluation_loader(data, recipe, self.model)
            scores = evaluate(
                self.model, loader, ignore_index=data.ignore_index, group_of=data.group
            )
            if rank() == 0:
                name = f"{len(self.rows) + 1:02d}-{slug(step)}.png"
                view = evaluation_view(data, recipe, self.model)
                write_samples(self.model, view, self.output / "samples" / name)
        prototypes = ""
        if scores.prototypes:
            prototypes = f", {scores.active_prototypes} of {scores.prototypes} prototypes active"
        self.write_log(f"{step}: mIoU {scores.mean_iou_text()}{prototypes} ({seconds:.0f} s)")
        self.rows.append(Row(step, scores, seconds))
        self.unreported = None

    def save(self, stage: int, part: str, step: int, training: State | None = None) -> None:
        """Write a checkpoint from which the run can continue."""
        if rank() != 0:
            return
        state: State = {
            "recipe": plain_recipe(self.recipe),
            "processes": world_size(),
            "class_names": list(self.splits.train.class_names),
            "stage": stage,
            "part": part,
            **model_state(self.model),
            "rows": [row.to_plain() for row in self.rows],
            "unreported": self.unreported,
            "training": training,
        }
        with finish_first():
            self.checkpoints.save(stage, None if part == "after" else step, state)
            self.saved = place_of(state, self.recipe)

    def restore(self, state: State) -> None:
        """Load the model and the scores from a checkpoint."""
        check_same_classes(state, self.splits.train)
        restore_model(self.model, state)
        self.rows = [Row.from_plain(row) for row in state["rows"]]
        # Earlier versions reported a step before they saved it.
        self.unreported = state.get("unreported")
        self.resumed = state
        self.place = self.saved = place_of(state, self.recipe)

    def describe_stop(self) -> str:
        """Return where the run stopped and from where it can continue, and log it."""
        kept = "no checkpoint yet; start again without --resume"
        if self.saved is not None:
            kept = f"checkpoint at {self.saved.within(self.place.stage)}; continue with --resume"
        line = f"stopped at {self.place}; {kept}"
        if rank() == 0:
            self.append_to_log(line)
        return line

    def write_log(self, line: str) -> None:
        """Log a line, in the run's folder too."""
        if rank() == 0:
            self.log(line)
            self.append_to_log(line)

    def append_to_log(self, line: str) -> None:
        """Write a line to the log in the run's folder."""
        with (self.output / "log.txt").open("a", encoding="utf-8", errors=PLAIN) as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
