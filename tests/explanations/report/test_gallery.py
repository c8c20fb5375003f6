"""The gallery in a browser: filters, marks, and pages without pictures."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protoxai.explanations import read_marks
from protoxai.explanations.report import report
from tests.explanations.report.browsing import choose, click, point, text, texts
from tests.explanations.report.cases import HOSTILE, MORE_HOSTILE, LabelledImages, report_model
from tests.explanations.report.conftest import Open, requests

SHOWN = (
    "return [...document.querySelectorAll('#cards .card')].map("
    "(card) => protoxai.data.prototypes[card.dataset.prototype].index)"
)


def shown(browser: Any) -> set[int]:
    return set(browser.execute_script(SHOWN))


def test_filters_leave_what_they_name(open_page: Open, pages: Callable[[int], Any]) -> None:
    path, model = pages(2)
    browser = open_page(path)
    prototypes = list(model.prototypes)
    active = {p.index for p in prototypes if p.active}
    assert shown(browser) == active
    assert text(browser, "#gallery-count") == f"{len(active)} prototypes"
    choose(browser, "filter-class", 0)
    assert shown(browser) == {p.index for p in prototypes if p.active and p.class_index == 0}
    choose(browser, "filter-scale", 1)
    expected = {p.index for p in prototypes if p.active and (p.class_index, p.scale) == (0, 1)}
    assert shown(browser) == expected
    choose(browser, "filter-class", "")
    choose(browser, "filter-scale", "")
    choose(browser, "filter-group", 2)
    group_of = {p.index: {group % 2 + 1 for group in p.group_weights} for p in prototypes}
    second = {index for index, groups in group_of.items() if 2 in groups}
    assert shown(browser) == second
    assert second < active
    choose(browser, "filter-group", "")
    if len(active) < len(prototypes):
        choose(browser, "filter-use", "")
        assert shown(browser) == set(range(len(prototypes)))


def test_cards_say_what_a_prototype_is(open_page: Open, pages: Callable[[int], Any]) -> None:
    path, model = pages(2)
    browser = open_page(path)
    for index in shown(browser):
        prototype = model.prototypes[index]
        place = browser.execute_script(
            "return protoxai.data.prototypes.findIndex((p) => p.index === arguments[0])", index
        )
        card = f"#cards [data-prototype='{place}']"
        assert text(browser, f"{card} h3 .name") == prototype.class_name
        assert text(browser, f"{card} .index") == f"#{index}"
        assert text(browser, f"{card} .facts").startswith(f"scale {prototype.scale + 1}")
        weights = [float(weight) for weight in texts(browser, f"{card} .weight .number")]
        assert weights == [round(weight, 2) for weight in prototype.group_weights.values()]


def test_marks_are_saved_as_a_file(browser: Any, open_page: Open, pages: Any) -> None:
    path, model = pages(2)
    browser = open_page(path)
    assert browser.execute_script("return document.getElementById('marks-save').disabled")
    first, second = sorted(shown(browser))[:2]
    for index, reason in ((second, 'a "tree" </script> 🌳'), (first, "")):
        browser.execute_script(
            """const place = protoxai.data.prototypes.findIndex((p) => p.index === arguments[0]);
            const card = document.querySelector(`#cards [data-prototype="${place}"]`);
            card.querySelector("input[type=checkbox]").click();
            const reason = card.querySelector(".reason");
            reason.value = arguments[1];
            reason.dispatchEvent(new Event("input"));""",
            index,
            reason,
        )
    assert text(browser, "#marks-count") == "2 prototypes marked"
    click(browser, "#marks-save")
    file = Path(browser.downloads) / "marks.json"
    for _ in range(100):
        if file.exists():
            break
        time.sleep(0.05)
    entries = [
        {
            "index": index,
            "class": model.prototypes[index].class_name,
            "image_id": model.prototypes[index].provenance.image_id,
            "reason": reason,
        }
        for index, reason in ((first, ""), (second, 'a "tree" </script> 🌳'))
    ]
    assert json.loads(file.read_text("utf-8")) == {"format": 1, "prototypes": entries}
    assert [mark.index for mark in read_marks(file, model)] == [first, second]
    browser.execute_script("document.querySelectorAll('.mark :checked').forEach((b) => b.click())")
    assert text(browser, "#marks-count") == "0 prototypes marked"


def test_a_mark_stays_when_the_filter_changes(open_page: Open, page: Path) -> None:
    browser = open_page(page)
    click(browser, "#cards .mark input")
    choose(browser, "filter-class", 2)
    choose(browser, "filter-class", "")
    assert browser.execute_script(
        "return document.querySelector('#cards .mark input').checked"
        " && !document.querySelector('#cards .reason').hidden"
    )


def test_pictures_are_dimmed_around_their_box(open_page: Open, pages: Any) -> None:
    path, model = pages(2)
    browser = open_page(path)
    index, box = browser.execute_script(
        """const card = document.querySelector("#cards .card");
        const rect = card.querySelector("rect.box");
        return [protoxai.data.prototypes[card.dataset.prototype].index,
          ["y", "x", "height", "width"].map((name) => Number(rect.getAttribute(name)))];"""
    )
    top, left, bottom, right = model.prototypes[index].box
    assert box == [top, left, bottom - top, right - left]
    visible = (
        "return getComputedStyle(document.querySelector('#cards .patch svg')).display !== 'none'"
    )
    assert browser.execute_script(visible)
    click(browser, "#plain")
    assert not browser.execute_script(visible)


def test_a_report_without_pictures_says_so(open_page: Open, tmp_path: Path) -> None:
    path = report(report_model(2), LabelledImages(1), tmp_path / "r.html", patches=False)
    browser = open_page(path)
    assert set(texts(browser, "#cards .patch")) == {"no picture kept"}
    assert set(texts(browser, "#reasons .patch")) == {"no picture kept"}
    assert browser.get_log("browser") == []


def test_hostile_names_are_only_text(open_page: Open, tmp_path: Path) -> None:
    data = LabelledImages(2, prefix=MORE_HOSTILE)
    model = report_model(2, HOSTILE)
    path = tmp_path / "<b>'quotes' 🚲.html"
    details = {HOSTILE[0]: HOSTILE[2]}
    browser = open_page(report(model, data, path, title=MORE_HOSTILE, details=details))
    for width in (390, 1280):
        browser = open_page(path, width)
        point(browser, 4, 4, "click")
        point(browser, 20, 30, "click")
        click(browser, "#reasons [data-heat]")
        assert browser.execute_script("return window.broken === undefined")
        assert browser.execute_script("return [...document.images].every((i) => i.src !== 'x')")
        assert set(texts(browser, "#scores .name")) == set(HOSTILE)
        fits = "return document.documentElement.scrollWidth <= innerWidth"
        assert browser.execute_script(fits)
        assert browser.get_log("browser") == []
        assert requests(browser) == []


@pytest.mark.slow
def test_1800_prototypes_open(open_page: Open, tmp_path: Path) -> None:
    from tests.explanations.report.test_dataset_report import large_page

    html, _ = large_page(1800, 150, 1)
    path = tmp_path / "large.html"
    path.write_text(html, encoding="utf-8")
    start = time.perf_counter()
    browser = open_page(path)
    assert text(browser, "#gallery-count") == "1800 prototypes"
    assert len(shown(browser)) == 48
    click(browser, "#gallery-more")
    assert len(shown(browser)) == 96
    assert text(browser, "#place").startswith("Row ")
    assert time.perf_counter() - start < 20
