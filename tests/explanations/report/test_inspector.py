"""The pixel inspector in a browser: its numbers are the model's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai import ScaleProtoSeg, explain
from protoxai.attribution import baseline_logit, prototype_evidence, unit_evidence
from protoxai.explanations.report import explanation_page
from protoxai.runtime.resize import resize
from tests.explanations.report.browsing import (
    choose,
    click,
    number,
    point,
    press,
    settle,
    shown_index,
    text,
    texts,
)
from tests.explanations.report.cases import LabelledImages
from tests.explanations.report.conftest import Open, requests

CORNERS = [(0, 0), (31, 47), (0, 47), (31, 0)]
PIXELS = [*CORNERS, (13, 22), (20, 41)]

FIGURES = """const [image, row, column] = arguments;
const { data, members, weight } = protoxai;
const pixel = protoxai.at(image, row, column);
const part = (c, p) => members
  .map((m, n) => (m.prototype === p ? weight(m.unit, c) * pixel.parts[n] : 0))
  .reduce((sum, value) => sum + value, 0);
return {
  scores: [...pixel.scores],
  activations: [...pixel.activations],
  predicted: pixel.predicted,
  units: [0, 1, 2].map((c) => data.units.map((_, u) => weight(u, c) * pixel.units[u])),
  parts: [0, 1, 2].map((c) => data.prototypes.map((_, p) => part(c, p))),
};"""


@pytest.fixture
def opened(pages: Callable[[int], Any], open_page: Open, any_stage: int) -> tuple[Any, Any]:
    path, model = pages(any_stage)
    return open_page(path), model


@torch.no_grad()
def test_figures_are_the_models(opened: tuple[Any, ScaleProtoSeg], any_stage: int) -> None:
    browser, model = opened
    bound = browser.execute_script("return protoxai.data.logit_error") + 1e-4
    order = browser.execute_script("return protoxai.data.prototypes.map((p) => p.index)")
    active = browser.execute_script(
        "return protoxai.data.prototypes.filter((p) => p.active).length"
    )
    for image in range(3):
        name = browser.execute_script("return protoxai.data.images[arguments[0]].name", image)
        explanation = explain(model, LabelledImages()[int(name.split()[-1])]["image"])
        output = explanation.output
        size = explanation.prediction.shape
        logits = resize(output.logits, size)[0]
        units = torch.stack(
            [resize(unit_evidence(explanation.head, output, c), size)[0] for c in range(3)]
        )
        parts = torch.stack(
            [resize(prototype_evidence(explanation.head, output, c), size)[0] for c in range(3)]
        )
        for row, column in PIXELS:
            found = browser.execute_script(
                FIGURES,
                image,
                row,
                column,
            )
            assert found["scores"] == pytest.approx(logits[:, row, column].tolist(), abs=bound)
            assert found["predicted"] == int(explanation.prediction[row, column])
            expected = [float(explanation.activation_map(p)[row, column]) for p in order[:active]]
            assert found["activations"] == pytest.approx(expected, abs=1e-3)
            for c in range(3):
                assert found["units"][c] == pytest.approx(
                    units[c, :, row, column].tolist(), abs=bound
                )
                expected = parts[c, order, row, column].tolist()
                assert found["parts"][c] == pytest.approx(expected, abs=bound)
    base = browser.execute_script("return protoxai.data.base")
    assert base == pytest.approx(baseline_logit(model.head).tolist(), abs=1e-6)


@torch.no_grad()
def test_cells_that_are_no_whole_number_of_pixels(
    open_page: Open, pages: Callable[[int], Any], tmp_path: Path
) -> None:
    _, model = pages(2)
    explanation = explain(model, torch.randn(3, 30, 50))
    assert explanation.output.logits.shape[2:] == (7, 12)
    path = tmp_path / "uneven.html"
    path.write_text(explanation_page(explanation), encoding="utf-8")
    browser = open_page(path)
    order = browser.execute_script("return protoxai.data.prototypes.map((p) => p.index)")
    logits = resize(explanation.output.logits, (30, 50))[0]
    activations = torch.stack([explanation.activation_map(p) for p in order])
    bound = browser.execute_script("return protoxai.data.logit_error") + 1e-4
    for row in range(0, 30, 3):
        for column in range(0, 50, 3):
            found = browser.execute_script(FIGURES, 0, row, column)
            assert found["scores"] == pytest.approx(logits[:, row, column].tolist(), abs=bound)
            expected = activations[:, row, column].tolist()
            assert found["activations"] == pytest.approx(expected, abs=1e-3)


def test_the_pointer_shows_the_pixel_under_it(opened: tuple[Any, ScaleProtoSeg]) -> None:
    browser, model = opened
    explanation = explain(model, LabelledImages()[shown_index(browser)]["image"])
    logits = resize(explanation.output.logits, explanation.prediction.shape)[0].detach()
    for row, column in PIXELS:
        point(browser, row, column)
        assert text(browser, "#place") == f"Row {row}, column {column}"
        order = logits[:, row, column].argsort(descending=True).tolist()
        assert texts(browser, "#scores .name") == [model.class_names[c] for c in order]
        shown = [number(score) for score in texts(browser, "#scores .score")]
        assert shown == pytest.approx(logits[order, row, column].tolist(), abs=0.0051)
        name = model.class_names[int(explanation.prediction[row, column])]
        assert text(browser, "#facts .name") == name


def test_what_is_listed_adds_up(opened: tuple[Any, ScaleProtoSeg]) -> None:
    browser, model = opened
    explanation = explain(model, LabelledImages()[shown_index(browser)]["image"])
    point(browser, 13, 22)
    for other in ("next", "none"):
        choose(browser, "other", other)
        values = [number(value) for value in texts(browser, "#terms .number")]
        assert sum(values[:-1]) == pytest.approx(values[-1], abs=0.04)
        pair = explanation.at(13, 22)
        if other == "none":
            assert values[-1] == pytest.approx(pair.logit, abs=0.0051)
        else:
            contrast = explanation.contrast(pair.class_index, region=(13, 22, 14, 23))
            assert values[-1] == pytest.approx(contrast.difference, abs=0.0051)
            shown = {
                int(index): number(value)
                for index, value in zip(
                    browser.execute_script(
                        "return [...document.querySelectorAll('#reasons .member')].map("
                        "(e) => protoxai.data.prototypes[e.dataset.prototype].index)"
                    ),
                    texts(browser, "#reasons .member > .number"),
                    strict=True,
                )
            }
            known = {p.prototype: p.difference for p in contrast.prototypes}
            for index, value in shown.items():
                assert value == pytest.approx(known[index], abs=0.0051)
        scales = [number(value) for value in texts(browser, "#scales .number")]
        evidence = [
            number(v) for v in texts(browser, "#reasons > li > .number, #reasons .sum .number")
        ]
        assert sum(scales) == pytest.approx(sum(evidence), abs=0.05)


def place(browser: Any) -> tuple[int, int]:
    """Row and column of the pixel that the panel explains."""
    row, column = re.fullmatch(r"Row (\d+), column (\d+)", text(browser, "#place")).groups()
    return int(row), int(column)


def test_keys_move_pin_and_release(open_page: Open, page: Any) -> None:
    browser = open_page(page)
    row, column = place(browser)
    press(browser, "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowDown", "ArrowUp")
    assert place(browser) == (row - 1, column - 2)
    press(browser, "ArrowRight", shift=True)
    assert place(browser) == (row - 1, column + 2)
    press(browser, *["ArrowUp"] * 40, *["ArrowLeft"] * 60)
    assert text(browser, "#place") == "Row 0, column 0"
    press(browser, "Enter")
    assert text(browser, "#place") == "Pixel A, row 0, column 0"
    press(browser, *["ArrowRight"] * 30)
    assert text(browser, "#place") == "Pixel A, row 0, column 0"
    press(browser, "Escape")
    assert text(browser, "#place") == "Row 0, column 30"


def test_a_click_pins_and_a_second_compares(open_page: Open, pages: Callable[[int], Any]) -> None:
    path, model = pages(2)
    browser = open_page(path)
    explanation = explain(model, LabelledImages()[shown_index(browser)]["image"])
    logits = resize(explanation.output.logits, explanation.prediction.shape)[0].detach()
    point(browser, 5, 5, "click")
    assert text(browser, "#place") == "Pixel A, row 5, column 5"
    hidden = "return document.getElementById('compare-table').hidden"
    point(browser, 25, 44)
    assert browser.execute_script(hidden)
    point(browser, 25, 44, "click")
    assert not browser.execute_script(hidden)
    assert texts(browser, "#compared tr:first-child td")[:2] == ["5, 5", "25, 44"]
    point(browser, 10, 30)
    row = [number(value) for value in texts(browser, "#compared tr:nth-child(3) .number")]
    first = explanation.at(5, 5).class_index
    other = int(logits[:, 5, 5].index_fill(0, torch.tensor(first), -torch.inf).argmax())
    expected = [float(logits[first, r, c] - logits[other, r, c]) for r, c in ((5, 5), (25, 44))]
    assert row == pytest.approx([*expected, expected[1] - expected[0]], abs=0.0051)
    click(browser, "#pin")
    assert text(browser, "#place") == "Row 10, column 30"


def test_two_chosen_classes_are_contrasted(open_page: Open, pages: Callable[[int], Any]) -> None:
    path, model = pages(2)
    browser = open_page(path)
    explanation = explain(model, LabelledImages()[shown_index(browser)]["image"])
    point(browser, 13, 22)
    choose(browser, "one", 2)
    choose(browser, "other", 0)
    contrast = explanation.contrast(2, 0, region=(13, 22, 14, 23))
    total = number(text(browser, "#terms .total .number"))
    assert total == pytest.approx(contrast.difference, abs=0.0051)
    assert number(text(browser, "#terms .base .number")) == pytest.approx(
        contrast.baseline, abs=0.0051
    )
    choose(browser, "one", 0)
    assert browser.execute_script("return document.getElementById('other').value") == "next"


def test_maps_are_drawn_and_hidden(open_page: Open, page: Any) -> None:
    browser = open_page(page)
    pixels = (
        "const c = document.getElementById('overlay');"
        "return [c.width, c.height, new Set(new Uint32Array(c.getContext('2d').getImageData("
        "0, 0, c.width, c.height).data.buffer)).size]"
    )
    for view, size in (("prediction", [48, 32]), ("labels", [48, 32]), ("errors", [48, 32]),
                       ("familiarity", [48, 32]), ("difference", [12, 8])):  # fmt: skip
        click(browser, f"[data-view={view}]")
        width, height, colours = browser.execute_script(pixels)
        assert ([width, height], colours > 1) == (size, True), view
    for selector in ("#terms [data-heat]", "#reasons [data-heat]", "#scales [data-heat]"):
        click(browser, selector)
        assert browser.execute_script(pixels)[2] > 2
        assert len(texts(browser, ".map-title")) == 1
        assert len(texts(browser, "[data-heat][aria-pressed=true]")) == 1
    click(browser, "#legend button")
    assert browser.execute_script(pixels)[:2] == [1, 1]


def test_the_map_of_a_prototype_is_its_activation(open_page: Open, pages: Any) -> None:
    path, model = pages(2)
    browser = open_page(path)
    explanation = explain(model, LabelledImages()[shown_index(browser)]["image"])
    click(browser, "#reasons [data-heat]")
    place = browser.execute_script("return protoxai.state.heat.number")
    index = browser.execute_script("return protoxai.data.prototypes[arguments[0]].index", place)
    cells = explanation.output.activations[0, index]
    ends = browser.execute_script(
        "return [...document.querySelector('.ramp').childNodes].map((n) => n.textContent)"
    )
    low, high = number(ends[0]), number(ends[-1])
    assert [low, high] == pytest.approx([float(cells.min()), float(cells.max())], abs=0.0051)
    row, column = divmod(int(cells.argmax()), 12)
    box = browser.execute_script(
        "const s = document.getElementById('fires').style;"
        "return [s.top, s.left, s.height, s.width].map(parseFloat)"
    )
    top, left, height, width = box[0] * 0.08, box[1] * 0.12, box[2] * 0.08, box[3] * 0.12
    assert top - 1e-6 <= row < top + height + 1e-6
    assert left - 1e-6 <= column < left + width + 1e-6


def test_a_threshold_shows_before_and_after(open_page: Open, pages: Callable[[int], Any]) -> None:
    path, model = pages(2)
    browser = open_page(path)
    point(browser, 13, 22)
    before = number(text(browser, "#terms .total .number"))
    browser.execute_script(
        "const s = document.getElementById('threshold'); s.value = 0.4;"
        "s.dispatchEvent(new Event('input'))"
    )
    settle(browser)
    image = LabelledImages()[shown_index(browser)]["image"]
    left = explain(model, image)
    left.head.threshold_(0.4)
    logits = resize(left.head(left.output.activations), (32, 48))[0, :, 13, 22].detach()
    scores = [number(score) for score in texts(browser, "#scores .score")]
    assert scores == pytest.approx(sorted(logits.tolist(), reverse=True), abs=0.0051)
    assert "Weights below 0.40 count as 0." in text(browser, "#threshold-change")
    total = len(set(left.head.group_weights().nonzero()[:, 1].tolist()))
    assert text(browser, "#threshold-note").startswith(f"{total} of ")
    point(browser, 13, 22)
    browser.execute_script(
        "const s = document.getElementById('threshold'); s.value = 0;"
        "s.dispatchEvent(new Event('input'))"
    )
    settle(browser)
    assert number(text(browser, "#terms .total .number")) == before


def test_another_image_is_chosen(open_page: Open, page: Any) -> None:
    browser = open_page(page)
    point(browser, 3, 3, "click")
    click(browser, "#pictures button:nth-child(3)")
    assert browser.execute_script("return protoxai.state.image") == 2
    assert text(browser, "#place").startswith("Row ")


def test_an_image_begins_near_its_middle_with_a_pixel_of_a_rarer_class(
    open_page: Open, pages: Callable[[int], Any]
) -> None:
    path, model = pages(2)
    browser = open_page(path)
    prediction = explain(model, LabelledImages()[shown_index(browser)]["image"]).prediction
    rarer = (prediction != prediction.flatten().mode().values).nonzero().tolist()
    assert rarer
    height, width = prediction.shape
    row, column = place(browser)
    distances = [(r - height // 2) ** 2 + (c - width // 2) ** 2 for r, c in rarer]
    assert [row, column] in rarer
    assert (row - height // 2) ** 2 + (column - width // 2) ** 2 == min(distances)


def test_nothing_is_logged_or_loaded(opened: tuple[Any, Any]) -> None:
    browser, _ = opened
    for row, column in PIXELS:
        point(browser, row, column, "click")
    for selector in ("[data-view=errors]", "#reasons [data-heat]", "#more", "#theme"):
        click(browser, selector)
    assert browser.get_log("browser") == []
    assert requests(browser) == []
