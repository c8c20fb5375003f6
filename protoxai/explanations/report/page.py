"""Self-contained HTML pages of explanations."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import ROUND_CEILING, Context
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import torch

from protoxai.explanations.report.collect import InspectedImage, collect, known_labels, rgb_pixels
from protoxai.explanations.report.payload import PageClass, PageData
from protoxai.explanations.report.results import result_table
from protoxai.explanations.templates import templates_of
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.runtime.checks import flag, instance, palette_of, shown
from protoxai.runtime.files import to_json
from protoxai.runtime.palette import distinct_palette

if TYPE_CHECKING:
    from protoxai.evaluation.scores import Scores
    from protoxai.explanations.explanation import Explanation
    from protoxai.explanations.report.sight import Sight

Palette = Sequence[Sequence[int]]
SCRIPTS = (
    *("decode", "compute", "colours", "elements", "state", "stage", "panel"),
    *("prototypes", "compare", "inspector", "marks", "gallery", "main"),
)
STYLES = ("base", "inspector", "gallery")
POLICY = "default-src 'none'; img-src data: blob:; script-src 'sha256-{}'; style-src 'sha256-{}'"


def inspected_image(explanation: Explanation, name: str) -> InspectedImage:
    """Return an explained image for the inspector.

    Args:
        explanation: Explanation of the image.
        name: Name of the image.
    """
    familiarity, labels = explanation.familiarity, explanation.labels
    return InspectedImage(
        name=name,
        picture=rgb_pixels(explanation.image),
        activations=explanation.output.activations[0].detach(),
        logits=explanation.output.logits[0].detach(),
        prediction=explanation.prediction.numpy(),
        labels=None if labels is None else known_labels(labels, len(explanation.class_names)),
        familiarity=None if familiarity is None else familiarity.numpy(),
    )


def page_classes(names: Sequence[str], palette: Palette | None) -> list[PageClass]:
    """Return the name and the colour of each class.

    Args:
        names: Names of the classes.
        palette: RGB colour of each class, 0 to 255; None for distinct ones.
    """
    colours = distinct_palette(len(names)) if palette is None else palette
    return [
        PageClass(name, "#{:02x}{:02x}{:02x}".format(*map(int, colour)))
        for name, colour in zip(names, colours, strict=True)
    ]


def explanation_page(
    explanations: Explanation | Sequence[Explanation],
    *,
    names: Sequence[str] | None = None,
    palette: Palette | None = None,
    patches: bool = True,
    title: str | None = None,
) -> str:
    """Return a self-contained HTML page of explained images.

    Its inspector shows, for each pixel, the scores of the classes and the groups and prototypes
    that they are made of; its gallery shows the prototypes. The page loads nothing.

    Args:
        explanations: One explanation, or several of the same model.
        names: Name of each image; None for numbers.
        palette: RGB colour of each class, 0 to 255; None for those of the model.
        patches: Whether to include the training pictures of the prototypes.
        title: Title of the page.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there is no explanation, or not a name per image or a colour per class.
    """
    given = _explanations(explanations)
    if names is None:
        names = [f"Image {number}" for number in range(1, len(given) + 1)]
    names = _names(names, len(given))
    first = given[0]
    if palette is not None:
        palette = palette_of("palette", palette, len(first.class_names))
    data = collect(
        first.head,
        first.prototypes,
        [inspected_image(each, name) for each, name in zip(given, names, strict=True)],
        page_classes(first.class_names, palette or first.palette),
        patches=flag("patches", patches),
        inactive=False,
    )
    title = page_title(title, "Explanation")
    return render(data, title, head_facts(first.head, data))


def page_title(title: str | None, default: str) -> str:
    """Return the title of a page, or raise ``TypeError`` if it is no text.

    Args:
        title: Title that was given; None for the default.
        default: Title of pages without one.
    """
    return default if title is None else instance("title", title, str, "text")


def head_facts(head: PrototypeHead | SparseGroupHead, data: PageData) -> dict[str, str]:
    """Return what a head is, in words.

    Args:
        head: Head of the model.
        data: Data of the page.
    """
    used = sum(prototype.active for prototype in data.prototypes)
    facts = {"Prototypes": f"{used:,} of {len(head.table):,} in use"}
    if isinstance(head, SparseGroupHead):
        facts["Groups"] = f"{head.num_groups} per class"
    facts["Scales"] = str(data.scales)
    return facts


def bound_words(error: float) -> str:
    """Return the next number of one significant digit that is no smaller, without an exponent.

    Args:
        error: Largest error, at least 0.

    Example:
        >>> bound_words(0.000084), bound_words(0.000096), bound_words(0.0)
        ('0.00009', '0.0001', '0')
    """
    rounding_up = Context(prec=1, rounding=ROUND_CEILING)
    return f"{rounding_up.create_decimal(str(error)):f}" if error else "0"


def render(
    data: PageData,
    title: str,
    facts: Mapping[str, str],
    scores: Scores | None = None,
    sight: Sight | None = None,
) -> str:
    """Return a page.

    Args:
        data: Data of the page.
        title: Title of the page.
        facts: What is known of the model, the data and the settings, in words.
        scores: Scores of the model; None if there are none.
        sight: How far prototypes see; None if it was not measured.
    """
    script, style = _joined("js", SCRIPTS), _joined("css", STYLES)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    template = templates_of("protoxai.explanations.report").get_template("page.html.j2")
    return template.render(
        title=title,
        facts=facts,
        data=data,
        scores=scores,
        sight=sight,
        error=bound_words(data.logit_error),
        results=None if scores is None else result_table(scores, data.classes),
        script=script,
        style=style,
        policy=POLICY.format(_digest(script), _digest(style)),
        payload=to_json(asdict(data), indent=None).replace("<", "\\u003c"),
    )


def _explanations(given: Explanation | Sequence[Explanation]) -> list[Explanation]:
    from protoxai.explanations.explanation import Explanation

    several = given if isinstance(given, list | tuple) else (given,)
    known = [each for each in several if isinstance(each, Explanation)]
    if known and len(known) == len(several):
        _check_same_model(known)
        return known
    error = TypeError if several else ValueError
    raise error(
        f"explanations: got {shown(given)}, expected an explanation, or a list of at least one: "
        "explain(model, image)"
    )


def _check_same_model(explanations: Sequence[Explanation]) -> None:
    """Raise ``ValueError`` if explanations are of models with different heads."""
    first = explanations[0].head.state_dict()
    for number, explanation in enumerate(explanations):
        other = explanation.head.state_dict()
        same = first.keys() == other.keys() and all(
            torch.equal(first[key], other[key]) for key in first
        )
        if not same:
            raise ValueError(
                f"explanations: number {number} is of another model than number 0, expected "
                "explanations of one model: write a page for each"
            )


def _names(names: Sequence[str], count: int) -> list[str]:
    is_list = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not is_list or len(names) != count:
        error = ValueError if is_list else TypeError
        raise error(f"names are {shown(names)}, expected a list of {count} names, one per image")
    return list(names)


@cache
def _joined(kind: str, names: tuple[str, ...]) -> str:
    folder = files("protoxai.explanations.report") / "static"
    return "\n".join((folder / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
