"""Keys of recipes that have another name than in the previous version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "zoom": "scale_range",
    "zoom_relative_to": "scale_relative_to",
    "log_uniform_zoom": "log_uniform_scale",
    "accumulate": "accumulate_grad_batches",
}


def with_new_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recorded recipe under the names that its keys have now.

    Only what a run recorded is translated; in recipes that people write, an old key is an error.

    Args:
        values: Content of a run's ``recipe.yaml`` or of the recipe in a checkpoint.
    """
    renamed = dict(values)
    if "data" in values:
        renamed["data"] = _renamed(values["data"])
    if isinstance(values.get("stages"), list):
        renamed["stages"] = [_renamed(stage) for stage in values["stages"]]
    return renamed


def _renamed(section: Any) -> Any:
    """Return a section with the new names; anything else as it is, for the checks to refuse."""
    if not isinstance(section, Mapping):
        return section
    return {RENAMED.get(key, key): value for key, value in section.items()}
