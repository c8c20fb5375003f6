"""Explanations as files, and their summary in a notebook."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protoxai.runtime.checks import did_you_mean, shown
from protoxai.runtime.files import to_json, write_file

if TYPE_CHECKING:
    from protoxai.explanations.explanation import Explanation

PICTURES = (".png", ".svg", ".pdf")
SUFFIXES = (*PICTURES, ".html")
LISTED = 3
"""Number of prototypes per region in a summary."""


def check_suffix(path: str | Path, name: str = "path") -> Path:
    """Return the path of a file for an explanation, or raise an error if its kind is unknown.

    Args:
        path: File to write.
        name: Name of the argument, for the error.

    Raises:
        TypeError: If it is no path.
        ValueError: If its suffix is another than .png, .svg, .pdf or .html.
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"{name} is {shown(path)} ({type(path).__name__}), expected a path")
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{name} is {shown(str(path))}, expected a name that ends with one of "
            f"{', '.join(SUFFIXES)}{did_you_mean(path.suffix, SUFFIXES)}"
        )
    return path


def save_explanation(explanation: Explanation, path: str | Path) -> None:
    """Write an explanation as a figure or as a page, see :meth:`Explanation.save`."""
    path = check_suffix(path)
    kind = path.suffix.lower()
    if kind == ".html":
        write_file(path, explanation.to_html())
        return
    buffer = io.BytesIO()
    explanation.figure().savefig(buffer, format=kind[1:])
    write_file(path, buffer.getvalue())


def plain_values(explanation: Explanation) -> dict[str, Any]:
    """Return all numbers of an explanation as plain values, see :meth:`Explanation.to_dict`."""
    known = explanation.familiarity
    content = {
        "height": explanation.size[0],
        "width": explanation.size[1],
        "class_names": explanation.class_names,
        "regions": [
            {
                **region.to_dict(),
                "familiarity": None if known is None else float(known[region.region].mean()),
            }
            for region in explanation.regions
        ],
    }
    plain: dict[str, Any] = json.loads(to_json(content))
    return plain


def html_summary(explanation: Explanation) -> str:
    """Return a short table of an explanation's regions, for notebooks."""
    rows = []
    for region in explanation.regions:
        strongest = sorted(
            ((p.evidence, p) for group in region.groups for p in group.prototypes),
            key=lambda pair: -pair[0],
        )[:LISTED]
        prototypes = ", ".join(
            f"{p.prototype} (scale {p.scale + 1}, {evidence:+.2f})" for evidence, p in strongest
        )
        share = float(region.region.double().mean())
        cells = (region.class_name, f"{share:.1%}", f"{region.logit:.2f}", prototypes)
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    heads = "".join(
        f"<th>{head}</th>" for head in ("class", "share", "logit", "strongest prototypes")
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
