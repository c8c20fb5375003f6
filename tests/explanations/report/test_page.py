import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
import torch

from protoxai import explain
from protoxai.evaluation.scores import Scores
from protoxai.explanations.report import explanation_page
from protoxai.explanations.report import page as page_module
from protoxai.explanations.report.page import bound_words, page_classes
from protoxai.explanations.report.results import result_table
from tests.explanations.report.cases import HOSTILE, LabelledImages, image_of, report_model
from tests.explanations.report.test_encoding import runs_of


def payload(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def page_of(class_names: tuple[str, ...] | None = None, **options: Any) -> str:
    model = report_model(2, class_names)
    return explanation_page(explain(model, image_of(LabelledImages(), 1)), **options)


def test_a_page_of_one_explanation() -> None:
    html = page_of()
    assert html.startswith("<!doctype html>")
    data = payload(html)
    assert [image["name"] for image in data["images"]] == ["Image 1"]
    assert [entry["name"] for entry in data["classes"]] == ["sky", "road", "tree"]
    assert data["images"][0]["labels"] is None
    assert re.search(r"<title>Explanation</title>", html)


@pytest.mark.parametrize("error", [3e-5, 9.6e-5, 1e-4, 1.4e-4, 0.0123, 0.96, 1.2, 47.0])
def test_the_stated_error_is_no_smaller_than_the_largest(error: float) -> None:
    words = bound_words(error)
    assert re.fullmatch(r"\d+(\.\d+)?", words)
    assert error <= float(words) <= 2 * error


def test_an_explanation_writes_its_page() -> None:
    explanation = explain(report_model(2), image_of(LabelledImages(), 1))
    assert explanation.to_html() == explanation_page([explanation])


def test_several_explanations_have_their_names_and_labels() -> None:
    model, data = report_model(2), LabelledImages()
    given = tuple(explain(model, data[i]["image"], data[i]["labels"]) for i in range(2))
    images = payload(explanation_page(given, names=["a", "b"], palette=data.palette))["images"]
    assert [image["name"] for image in images] == ["a", "b"]
    for image, explanation in zip(images, given, strict=True):
        known = explanation.labels != 255
        right = (explanation.prediction == explanation.labels)[known].float().mean()
        assert image["share_right"] == pytest.approx(float(right), rel=1e-6)


def test_familiarity_is_stored_if_it_is_known() -> None:
    model = report_model(2)
    assert model.class_distances is not None
    explanation = explain(model, image_of(LabelledImages(), 1))
    image = payload(explanation_page(explanation))["images"][0]
    expected = (explanation.familiarity * 255).round().int().flatten().tolist()
    assert runs_of(image["familiarity"]).tolist() == expected
    model.projection = replace(model.projection, class_distances=None)
    explanation = explain(model, image_of(LabelledImages(), 1))
    assert payload(explanation_page(explanation))["images"][0]["familiarity"] is None


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = page_of()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)
    assert not re.search(r"@import|url\(", html)
    # The name of SVG's elements is no address to load.
    assert set(re.findall(r"https?://[^\s\"')<]+", html)) <= {"http://www.w3.org/2000/svg"}


def test_only_the_page_s_own_script_and_style_may_run() -> None:
    html = page_of()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert policy is not None
    assert script is not None
    assert style is not None
    content = policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in content
    for kind, text in (("script-src", script[1]), ("style-src", style[1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in content


def test_names_are_text() -> None:
    html = page_of(HOSTILE, names=[HOSTILE[0]], title=HOSTILE[1])
    for name in HOSTILE:
        assert name not in html
    data = payload(html)
    assert [entry["name"] for entry in data["classes"]] == list(HOSTILE)
    assert data["images"][0]["name"] == HOSTILE[0]
    assert html.count("<script") == 2
    assert html.count("</script") == 2


def test_all_scripts_and_styles_are_part_of_the_page() -> None:
    folder = files("protoxai.explanations.report") / "static"
    names = {entry.name for entry in folder.iterdir()}
    used = {f"{name}.js" for name in page_module.SCRIPTS}
    assert names == used | {f"{name}.css" for name in page_module.STYLES}


def test_a_model_without_pictures_says_so() -> None:
    assert "No pictures of the prototypes were kept" not in page_of()
    assert "No pictures of the prototypes were kept" in page_of(patches=False)


def test_scores_that_are_not_defined_are_dashes() -> None:
    scores = Scores(0.5, 0.75, (0.5, float("nan")), 0, 0, 1, (0.5,) * 2, (0.5,) * 2, (1.0,) * 2)
    results = result_table(scores, page_classes(("a", "b"), None))
    assert results.headline == (("Mean IoU", "50.0 %"), ("Right pixels", "75.0 %"))
    assert [row.cells for row in results.rows] == [
        ("50.0", "50.0", "50.0", "100.0"),
        ("–", "50.0", "50.0", "100.0"),
    ]
    assert [row.width for row in results.rows] == [50, 0]
    assert results.note == "A single class is labelled."


def test_colours_are_those_of_the_palette_or_distinct() -> None:
    assert page_classes(["a"], [(1, 171, 255)])[0].colour == "#01abff"
    assert len({each.colour for each in page_classes(["a", "b", "c"], None)}) == 3


def test_the_colours_of_a_page_are_the_models() -> None:
    model = report_model(2)
    model.palette = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    explanation = explain(model, image_of(LabelledImages(), 1))
    for palette, first in ((None, "#010203"), ([(255, 0, 0)] * 3, "#ff0000")):
        classes = payload(explanation_page([explanation], palette=palette))["classes"]
        assert classes[0]["colour"] == first


def test_explanations_are_of_one_model() -> None:
    image = image_of(LabelledImages(), 1)
    one, other, third = (explain(report_model(stage), image) for stage in (2, 2, 1))
    assert payload(explanation_page([one, one]))["images"]
    for pair in ([one, other], [one, third]):
        with pytest.raises(ValueError, match="number 1 is of another model than number 0"):
            explanation_page(pair)


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        ([], {}, ValueError, r"explanations: got \[\], expected an explanation, or a list"),
        ("page", {}, TypeError, "explanations: got 'page', expected an explanation"),
        (None, {"names": []}, ValueError, r"names are \[\], expected a list of 1 names"),
        (None, {"names": "a"}, TypeError, "names are 'a', expected a list of 1 names"),
        (None, {"palette": [(0, 0, 0)]}, ValueError, "palette is .* expected 3 colours"),
        (None, {"patches": 1}, TypeError, "patches is 1, expected True or False"),
        (None, {"title": 3}, TypeError, "title is 3 .int., expected a str: text"),
    ],
)
def test_what_does_not_fit_is_named(
    given: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    if given is None:
        given = explain(report_model(1), torch.randn(3, 32, 48))
    with pytest.raises(error, match=message):
        explanation_page(given, **options)
