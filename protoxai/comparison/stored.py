"""Files that keep what was measured, one for each task."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protoxai.runtime.files import read_json, regular_file, to_json, write_json


@dataclass(frozen=True)
class Row:
    """Values of one metric for one explainer and one task.

    Attributes:
        values: A value of each figure, NaN where it is undefined; empty if there are none.
        reason: Why values are undefined; empty if none are.
        failure: Why the metric has no values; empty if it has.
        seconds: Time that the measurement took.
        final: Whether another measurement would give the same.
    """

    values: tuple[float, ...] = ()
    reason: str = ""
    failure: str = ""
    seconds: float = 0.0
    final: bool = True


def write_rows(path: Path, rows: Mapping[str, Row]) -> None:
    """Write the rows of a task that another measurement would not change.

    The file has a digest, by which a later reader knows that it is intact.

    Args:
        path: File to write; its name says of which task the values are, so it is part of the
            digest.
        rows: Rows by key; a key says of which explainer and metric the values are.
    """
    content = {
        key: [
            [None if math.isnan(value) else value for value in row.values],
            row.reason,
            row.failure,
            row.seconds,
        ]
        for key, row in rows.items()
        if row.final
    }
    write_json(path, {"rows": content, "digest": _digest(path, content)})


def read_rows(path: Path) -> dict[str, Row]:
    """Return stored rows; none if the file is missing, altered, renamed or of another version."""
    try:
        content = read_json(regular_file(path))
        rows = content["rows"]
        if content["digest"] != _digest(path, rows):
            return {}
        return {key: _row(*fields) for key, fields in rows.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return {}


def _row(values: list[float | None], reason: str, failure: str, seconds: float) -> Row:
    numbers = tuple(math.nan if value is None else float(value) for value in values)
    return Row(numbers, str(reason), str(failure), float(seconds))


def _digest(path: Path, content: dict[str, Any]) -> str:
    return hashlib.sha256(to_json([path.name, content], indent=None).encode()).hexdigest()
