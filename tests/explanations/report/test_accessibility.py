"""What axe-core finds in a report, in light and dark, and how it fits a phone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protoxai.explanations.report import report
from tests.explanations.report.browsing import click, point, press
from tests.explanations.report.cases import LabelledImages, report_model
from tests.explanations.report.conftest import Open

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (390, 768, 1440)
RUN = """const done = arguments[arguments.length - 1];
axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(
  (found) => done(found.violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html)])));"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(
    open_page: Open, pages: Callable[[int], Any], width: int, dark: bool
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci")
    browser = open_page(pages(2)[0], width, dark=dark)
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text("utf-8")})
    assert browser.execute_async_script(RUN) == []
    point(browser, 4, 4, "click")
    point(browser, 20, 30, "click")
    for selector in ("#reasons [data-heat]", ".threshold summary", "#cards .mark input"):
        click(browser, selector)
    assert browser.execute_async_script(RUN) == []


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(
    open_page: Open, pages: Callable[[int], Any], width: int, stage: int
) -> None:
    browser = open_page(pages(stage)[0], width)
    point(browser, 4, 4, "click")
    point(browser, 20, 30, "click")
    root = "document.documentElement"
    fits = f"return {root}.scrollWidth <= {root}.clientWidth && {root}.clientWidth <= {width}"
    assert browser.execute_script(fits)


def test_colours_follow_the_system_and_the_switch(open_page: Open, page: Path) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    light = open_page(page).execute_script(background)
    browser = open_page(page, dark=True)
    dark = browser.execute_script(background)
    assert light != dark
    click(browser, "#theme")
    assert browser.execute_script(background) == light
    click(browser, "#theme")
    assert browser.execute_script(background) == dark


def test_the_focus_stays_on_a_button_that_is_drawn_anew(open_page: Open, page: Path) -> None:
    browser = open_page(page)
    press(browser, "ArrowDown")
    focus = "return document.activeElement.dataset.heat ?? null"
    browser.execute_script("document.querySelector('#reasons [data-heat]').focus()")
    before = browser.execute_script(focus)
    assert before is not None
    browser.execute_script("document.activeElement.click()")
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert browser.execute_script(focus) == before


def test_screen_readers_hear_the_pixel_once_it_rests(open_page: Open, page: Path) -> None:
    browser = open_page(page)
    press(browser, "ArrowDown", "ArrowDown")
    browser.execute_async_script("setTimeout(arguments[0], 700)")
    said = browser.execute_script("return document.getElementById('live').textContent")
    place = browser.execute_script("return document.getElementById('place').textContent")
    assert said.startswith(f"{place}: ")


def test_a_model_of_one_class_and_one_image(open_page: Open, tmp_path: Path) -> None:
    import torch
    from torch import nn

    from protoxai import ScaleProtoSeg

    torch.manual_seed(0)
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 8, stride=8), 1, prototype_dim=4)
    path = report(model, [{"image": torch.randn(3, 32, 48)}], tmp_path / "one.html")
    browser = open_page(path)
    point(browser, 3, 3)
    assert browser.get_log("browser") == []
    assert "class 0 has the score" in browser.execute_script(
        "return document.getElementById('verdict').textContent"
    )


def test_a_report_without_images_opens(open_page: Open, tmp_path: Path) -> None:
    model = report_model(1)
    path = report(model, LabelledImages(1), tmp_path / "none.html", images=0)
    browser = open_page(path)
    assert browser.get_log("browser") == []
    cards = browser.execute_script("return document.querySelectorAll('.card').length")
    assert cards == len(model.table)
