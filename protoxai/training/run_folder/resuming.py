"""Whether and where a run may continue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protoxai.runtime.distributed import world_size
from protoxai.runtime.files import read_json
from protoxai.training.recipes.recipe import Recipe
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.run_folder.run_record import differences, plain_recipe, recorded_recipe
from protoxai.training.stages.checkpoints import Checkpoints, State


@dataclass(frozen=True)
class Place:
    """A place in a run, for messages.

    Attributes:
        stage: Name of the stage.
        step: Number of the stage's optimizer steps that are done.
        during: What else is being done, such as an evaluation.

    Example:
        >>> print(Place("joint", 30000, "projection"))
        stage joint, step 30000 (projection)
    """

    stage: str
    step: int
    during: str = ""

    def __str__(self) -> str:
        return f"stage {self.stage}, step {self.step}" + (f" ({self.during})" * bool(self.during))

    def within(self, stage: str) -> str:
        """Return the place without the stage if it is the given one."""
        return f"step {self.step}" if stage == self.stage else str(self)


def place_of(state: State, recipe: Recipe) -> Place:
    """Return the place of a checkpoint.

    Args:
        state: Content of the checkpoint.
        recipe: Recipe of the run.
    """
    number = state["stage"]
    if number == len(recipe.stages):
        return Place(recipe.stages[-1].name, recipe.stages[-1].steps, "the end")
    stage = recipe.stages[number]
    if state["part"] == "after":
        return Place(stage.name, stage.steps, "trained")
    return Place(stage.name, state["training"]["step"] if state["training"] else 0)


def state_to_resume(output: Path, checkpoints: Checkpoints, recipe: Recipe) -> State:
    """Return the newest intact checkpoint, after checking that the run may continue from it.

    Args:
        output: Run folder.
        checkpoints: Its checkpoints.
        recipe: Recipe to continue with.

    Raises:
        RunError: If there is no intact checkpoint, or the run would not be the one that began.
    """
    paths = checkpoints.paths()
    if not paths:
        raise RunError(
            f"{output} holds no checkpoint to resume from: check --output, or start a new run "
            "without --resume"
        )
    state = checkpoints.newest()
    if state is None:
        raise RunError(
            f"none of the {len(paths)} checkpoints in {checkpoints.folder} is intact: restore them "
            "from a copy, or start a new run in another output folder"
        )
    check_same_recipe(output, recorded_recipe(state["recipe"]), recipe)
    processes = _processes_of(state, output)
    if processes != world_size():
        raise RunError(
            f"{output} holds a run of {processes} processes, and this one has {world_size()}, "
            f"which would see other batches: resume with as many (torchrun --nproc-per-node "
            f"{processes} -m protoxai.cli train ...), or choose another output folder"
        )
    return state


def _processes_of(state: State, output: Path) -> int:
    """Return the number of processes of a run; where it is not recorded, that of this one."""
    environment = output / "environment.json"
    # Checkpoints of earlier versions lack it.
    if "processes" not in state and environment.is_file():
        state = read_json(environment)
    return int(state.get("processes", world_size()))


def check_same_recipe(output: Path, recorded: dict[str, Any], recipe: Recipe) -> None:
    """Raise an error if a run folder holds a run whose training would differ.

    Args:
        output: Run folder.
        recorded: Recipe of the run in the folder, as plain values.
        recipe: Recipe to continue with.

    Raises:
        RunError: If they differ in a key on which the training depends.
    """
    changed = differences(recorded, plain_recipe(recipe))
    if changed:
        raise RunError(
            f"{output} holds a run of another recipe (it differs in {', '.join(changed)}): resume "
            f"with the recipe in {output}/recipe.yaml, or choose another output folder"
        )
