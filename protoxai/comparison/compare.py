"""The comparison itself: cell by cell, resumable, within a time budget."""

from __future__ import annotations

import difflib
import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from protoxai.attribution import AttributionMethod
from protoxai.comparison.adapters import METRICS, UndefinedError
from protoxai.comparison.fingerprint import fingerprint
from protoxai.comparison.memo import Answers, Cases
from protoxai.comparison.table import Cell, Comparison
from protoxai.comparison.tasks import Question
from protoxai.runtime.modes import evaluating

Say = Callable[[str], None]


def compare(
    explainers: Sequence[AttributionMethod],
    questions: Sequence[Question],
    *,
    metrics: Collection[str] | None = None,
    output: str | Path | None = None,
    budget: float | None = None,
    seed: int = 0,
    say: Say = print,
) -> Comparison:
    """Measure explainers by the same metrics on the same questions.

    Every explainer explains its own model; the region is what that model predicts as the class. A
    figure is the mean over the images that are defined for all explainers that have it. A cell
    that fails is reported in the table, and the others go on.

    Args:
        explainers: prototype models' own explanations, Captum's methods, or others.
        questions: from :func:`~protoxai.comparison.ask`.
        metrics: keys of ``METRICS``; None: all.
        output: folder for ``comparison.{txt,csv,json,md,png}`` and for finished cells, which a
            later call with the same folder takes from there if it asks the same explainer the same
            questions about the same parameters.
        budget: seconds for each cell; what is left of its images is then left out.
        seed: of whatever a metric draws.
        say: gets a line for each cell.

    Returns:
        The table.

    Raises:
        ValueError: if a metric is unknown, two explainers have one name, two questions one image,
            or nothing is asked.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> from protoxai.attribution import PrototypeAttribution
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> image = torch.rand(1, 3, 32, 40)
        >>> question = Question(0, image, image[:, 0] > 0.5, torch.tensor([1]))
        >>> table = compare([PrototypeAttribution(model)], [question], metrics=["sparseness"],
        ...                 say=lambda line: None)
        >>> list(table.figures)
        ['sparseness']
    """
    chosen = list(METRICS if metrics is None else metrics)
    _check(explainers, questions, chosen)
    folder = None if output is None else Path(output) / "cells"
    asked = "" if folder is None else fingerprint(t for q in questions for t in _tensors(q))
    cases = Cases(questions)
    cells = []
    for explainer in explainers:
        answers = Answers(explainer, cases)
        known = "" if folder is None else fingerprint(_state(explainer))
        for name in chosen:
            key = [explainer.name, repr(explainer), name, seed, asked, known]
            file = None if folder is None else folder / _file_name(key)
            cell = _finished(file)
            if cell is None:
                cell = _measure(answers, name, budget, seed)
                if file is not None and cell.complete:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(cell.to_config()) + "\n", encoding="utf-8")
                say(f"{explainer.name}, {name}: {cell.summary()}")
            cells.append(cell)
    comparison = Comparison(tuple(cells), seed)
    if output is not None:
        comparison.save(output)
    return comparison


def _measure(answers: Answers, name: str, budget: float | None, seed: int) -> Cell:
    """Take in one answer after another; a failure ends the cell, not the comparison."""
    started = time.monotonic()
    explainer, measure = answers.explainer, METRICS[name]
    failure, done, undefined = "", 0, False
    metric = None
    try:
        metric = measure.make(explainer, seed)
        with evaluating(explainer.model):
            for number in range(len(answers)):
                if budget is not None and time.monotonic() - started > budget:
                    failure = f"{budget:g} s were over after {done} images"
                    break
                measure.update(metric, answers[number])
                done += 1
    except UndefinedError as error:
        failure, undefined = str(error), True
    except Exception as error:
        failure = f"{type(error).__name__}: {error}".splitlines()[0]
    figures = measure.figures
    indices, rows = (torch.empty(0), torch.empty(0, 1)) if metric is None else metric.per_image()
    if rows.shape[1] != len(figures):
        rows = rows.nanmean(1, keepdim=True)
    return Cell(
        explainer=explainer.name,
        metric=name,
        directions=dict(figures),
        indices=tuple(indices.tolist()),
        rows=tuple(map(tuple, rows.tolist())),
        seconds=time.monotonic() - started,
        failure=failure,
        complete=undefined or done == len(answers),
    )


def _finished(file: Path | None) -> Cell | None:
    if file is None or not file.is_file():
        return None
    try:
        return Cell.from_config(json.loads(file.read_text(encoding="utf-8")))
    except ValueError:
        # Cut off while it was written.
        return None


def _tensors(question: Question) -> tuple[Tensor, ...]:
    index = torch.tensor(question.index)
    return index, question.image, question.truth, question.class_index


def _state(explainer: AttributionMethod) -> list[Tensor]:
    return [*explainer.model.parameters(), *explainer.model.buffers()]


def _check(
    explainers: Sequence[AttributionMethod], questions: Sequence[Question], metrics: list[str]
) -> None:
    if not explainers or not questions:
        raise ValueError(
            f"{len(explainers)} explainers and {len(questions)} questions came, expected at least "
            "one of each"
        )
    if not metrics:
        raise ValueError(f"no metric came, expected some of {', '.join(METRICS)}")
    seen = set()
    for question in questions:
        if question.index in seen:
            raise ValueError(
                f"image {question.index} is asked about twice: values are kept by image, so ask "
                "about another class in a comparison of its own"
            )
        seen.add(question.index)
    names = [explainer.name for explainer in explainers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two explainers are called {name!r}: set `explainer.name` of one")
    for name in metrics:
        if name not in METRICS:
            close = difflib.get_close_matches(name, METRICS, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"there is no metric {name!r}{hint}; there are {', '.join(METRICS)}")


def _file_name(key: Sequence[object]) -> str:
    name = "".join(c if c.isalnum() else "-" for c in f"{key[0]}-{key[2]}".lower())
    return f"{name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]}.json"
