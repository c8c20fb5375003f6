"""The settings of an evaluation, on which its figures depend, and the document that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

from protoxai.folders import ModelFolder
from protoxai.training.recipes.construct import check_fields, construct
from protoxai.training.recipes.data_recipe import PIXELS, RESIZED, DataRecipe
from protoxai.training.recipes.yaml_files import RecipeError

DOCUMENT = "evaluation.json"
"""Document of a model folder with the settings."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How images become predictions.

    Attributes:
        evaluation_size: Height and width of the images, or the length of their shorter side; None:
            their own size.
        antialias: Whether images are smoothed before they are made smaller.
        window: Height and width of a sliding window; None: the image as a whole.
        stride: Rows and columns from one window to the next; None: half the window.
    """

    evaluation_size: Annotated[tuple[int, int] | int | None, RESIZED] = None
    antialias: bool = True
    window: Annotated[tuple[int, int] | None, PIXELS] = None
    stride: Annotated[tuple[int, int] | None, PIXELS] = None

    def __post_init__(self) -> None:
        """Check every setting."""
        check_fields(self)
        if self.stride is not None and self.window is None:
            raise RecipeError(
                f"stride is {self.stride}, but there is no window: give its size, too"
            )
        if self.window is not None and self.stride is None:
            height, width = self.window
            object.__setattr__(self, "stride", (max(1, height // 2), max(1, width // 2)))

    @classmethod
    def of(cls, recipe: DataRecipe) -> Self:
        """Return the settings with which a run evaluates its model.

        Args:
            recipe: The data section of the run's recipe.
        """
        return cls(evaluation_size=recipe.evaluation_size, antialias=recipe.antialias)

    def documents(self) -> dict[str, Any]:
        """Return the settings as a document for ``save_pretrained(folder, documents=...)``."""
        return {DOCUMENT: asdict(self)}


SETTINGS = tuple(field.name for field in fields(EvaluationSettings))


def stored_settings(source: str | Path) -> dict[str, Any]:
    """Return the settings that a model folder carries; empty if it has none.

    Args:
        source: Model folder or hub id.

    Raises:
        FileError: If the folder or its document is missing or damaged, or has settings that this
            version does not know.
    """
    folder = ModelFolder.open(source)
    content = folder.document(DOCUMENT)
    if content is None:
        return {}
    try:
        settings = construct(EvaluationSettings, content)
    except RecipeError as error:
        raise folder.damaged(DOCUMENT, str(error)) from None
    return {name: value for name, value in asdict(settings).items() if name in content}


def chosen_settings(
    given: Mapping[str, Any], stored: Mapping[str, Any], place: str
) -> tuple[EvaluationSettings, dict[str, str]]:
    """Return the settings of an evaluation, and where each of them is from.

    Args:
        given: Settings that were given for this evaluation.
        stored: Settings that are kept with the model. A given window is used without a stored
            stride.
        place: Where those are kept, such as "recipe".
    """
    kept = {name: value for name, value in stored.items() if name not in given}
    if "window" in given:
        kept.pop("stride", None)
    sources = dict.fromkeys(kept, place) | dict.fromkeys(given, "given")
    settings = EvaluationSettings(**{**kept, **given})
    return settings, {name: sources.get(name, "default") for name in SETTINGS}
