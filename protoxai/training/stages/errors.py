"""Errors of a run that the user can fix, with their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from protoxai.runtime.failures import explained
from protoxai.runtime.stopping import stop_if_requested
from protoxai.training.recipes.yaml_files import RecipeError, RunError


@contextmanager
def explaining(place: Callable[[], object]) -> Iterator[None]:
    """Turn an error within the block that the user can fix into one that names its place.

    Args:
        place: Function that returns the place in the run, called if there is an error.

    Raises:
        RunError: Instead of errors of the library, of files and of the loader's workers.
    """
    try:
        yield
    except (RecipeError, RunError):
        raise
    except Exception as error:
        # A signal to the whole process group ends the workers too.
        stop_if_requested()
        line = explained(error)
        if line is None:
            raise
        raise RunError(f"{place()}: {line}") from error
