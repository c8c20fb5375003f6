import csv
import io
import json
import math
import re
import warnings
from dataclasses import replace

import matplotlib as mpl
import pytest
import torch

from protoxai.comparison import Comparison, Result
from protoxai.comparison.table import LEGEND
from protoxai.metrics import estimate
from tests.comparison.toys import result

NAN = math.nan


def table() -> Comparison:
    """Two explainers, two metrics; of `cost`, one has two figures and an undefined value."""
    cost = {"passes": False, "memory": None}
    return Comparison(
        (
            result("ours", "pointing", {3: 1.0, 5: 1.0}),
            replace(
                result("ours", "cost", {3: (1.0, NAN), 5: (1.0, 8.0)}, cost),
                reasons=("not measured", ""),
            ),
            result("theirs", "pointing", {3: 0.0, 5: 0.5}),
            result("theirs", "cost", {}, cost, failure="OutOfMemoryError: too large"),
        )
    )


def strict(text: str) -> dict:
    """Read JSON as any reader does: NaN and Infinity are not JSON."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_few_images_have_no_interval() -> None:
    value = table()["ours", "pointing"]
    assert (value.mean, value.tasks, value.groups, value.undefined) == (1.0, 2, 2, 0)
    assert not value.has_interval


def test_the_interval_is_that_of_the_mean() -> None:
    values = {0: 0.0, 1: 0.25, 2: 0.5, 3: 1.0, 4: 0.75}
    value = Comparison((result("a", "m", values),))["a", "m"]
    assert value == estimate(torch.tensor(list(values.values())))
    assert value.low < value.mean == 0.5 < value.high


def test_an_image_undefined_for_one_is_left_out_for_all() -> None:
    results = (
        result("a", "m", {0: 1.0, 1: 3.0, 2: 8.0}),
        result("b", "m", {0: 1.0, 1: NAN, 2: 2.0}),
    )
    comparison = Comparison(results)
    first, second = comparison["a", "m"], comparison["b", "m"]
    assert (first.mean, first.tasks, first.undefined) == (4.5, 2, 1)
    assert (second.mean, second.tasks, second.undefined) == (1.5, 2, 1)


def test_an_image_that_one_did_not_reach_is_left_out_for_all() -> None:
    results = (
        result("a", "m", {0: 1.0, 1: 3.0, 2: 8.0}),
        result("b", "m", {0: 5.0}, failure="2 s were over after 1 tasks"),
    )
    comparison = Comparison(results)
    assert (comparison["a", "m"].mean, comparison["b", "m"].mean) == (1.0, 5.0)
    assert comparison["a", "m"].undefined == 2


@pytest.mark.parametrize("values", [{}, {0: NAN, 1: NAN}])
def test_an_explainer_without_values_does_not_empty_the_others(values: dict) -> None:
    comparison = Comparison((result("a", "m", {0: 1.0, 1: 3.0}), result("b", "m", values)))
    assert comparison["a", "m"].mean == 2.0
    assert comparison["a", "m"].tasks == 2
    assert comparison["b", "m"] is None


def test_figures_of_one_metric_are_defined_apart() -> None:
    comparison = table()
    assert comparison["ours", "passes"].tasks == 2
    assert comparison["ours", "memory"].mean == 8.0
    assert comparison["ours", "memory"].undefined == 1


def test_no_image_in_common_gives_no_figure() -> None:
    comparison = Comparison(
        (result("a", "m", {0: 1.0, 1: NAN}), result("b", "m", {0: NAN, 1: 2.0}))
    )
    assert [line.split() for line in comparison.to_text().splitlines()[1:3]] == [
        ["a", "–"],
        ["b", "–"],
    ]
    strict(comparison.to_json())
    assert len(comparison.figure().axes[0].lines) == 0


def test_rows_columns_and_arrows() -> None:
    comparison = table()
    assert comparison.explainers == ["ours", "theirs"]
    assert comparison.figures == {"pointing": True, "passes": False, "memory": None}
    assert comparison.to_text() == (
        "explainer  pointing ↑    passes ↓   memory\n"
        "ours       1 (n = 2)     1 (n = 2)  8 (n = 1)\n"
        "theirs     0.25 (n = 2)  –          –\n"
        "\n"
        "Means over tasks [95 % interval over groups]; ↑ higher is better, ↓ lower.\n"
        "theirs, cost: OutOfMemoryError: too large (n = 0)\n"
        "memory: n = 1 of 2 tasks; undefined for ours on 1 (not measured)\n"
    )
    assert comparison.to_markdown() == (
        "| explainer | pointing ↑ | passes ↓ | memory |\n"
        "| --- | --- | --- | --- |\n"
        "| ours | 1 (n = 2) | 1 (n = 2) | 8 (n = 1) |\n"
        "| theirs | 0.25 (n = 2) | – | – |\n"
        "\n"
        "theirs, cost: OutOfMemoryError: too large (n = 0)\n"
        "memory: n = 1 of 2 tasks; undefined for ours on 1 (not measured)\n"
    )


def many(explainers: int, figures: int, name: str = "ScaleProtoSeg: LayerGradientXActivation"):
    directions = {f"figure_{number}": True for number in range(figures)}
    # Their interval is that of Student, 0.4321 ± 0.5555.
    step = 0.5555 * 5**0.5 / 2.7764
    values = {i: (0.4321 + step * way,) * figures for i, way in enumerate((1, -1, 1, -1, 0))}
    return Comparison(
        tuple(result(f"{name} {e}", "m", values, directions) for e in range(explainers))
    )


@pytest.mark.parametrize(("explainers", "figures"), [(1, 1), (12, 20), (40, 3), (2, 64)])
def test_text_stays_narrow_and_has_every_figure_of_every_explainer(explainers, figures) -> None:
    comparison = many(explainers, figures)
    lines = comparison.to_text().splitlines()
    assert max(map(len, lines)) <= 118
    headers = [line for line in lines if line.startswith("explainer")]
    names = [word for line in headers for word in line.split() if word.startswith("figure")]
    assert names == list(comparison.figures)
    # Three fit beside such names.
    assert len(headers) == -(-figures // 3)
    for explainer in comparison.explainers:
        rows = [line for line in lines if line.startswith(f"{explainer} ")]
        assert len(rows) == len(headers)
        assert sum(row.count("[-0.123, 0.988]") for row in rows) == figures
    # A figure's values stand below its name.
    assert lines[1].index("0.432 [") == lines[0].index("figure_0")


@pytest.mark.parametrize(("letters", "blocks"), [(52, 1), (53, 2)])
def test_the_last_column_fits_to_the_letter(letters: int, blocks: int) -> None:
    figures = {"a" * 52: None, "b" * letters: None}
    text = Comparison((result("explainers", "m", {0: (1.0, 2.0)}, figures),)).to_text()
    assert text.count("explainers ") == blocks
    assert max(map(len, text.splitlines())) == (118 if blocks == 1 else len(LEGEND))


def test_names_too_long_for_the_terminal_are_kept() -> None:
    lines = many(2, 3, name="x" * 150).to_text().splitlines()
    assert [line.count("figure") for line in lines if "figure" in line] == [1, 1, 1]
    assert sum("x" * 150 in line for line in lines) == 6


def test_csv_has_a_line_for_each_figure() -> None:
    rows = list(csv.reader(io.StringIO(table().to_csv())))
    assert rows[0] == [
        "explainer",
        "figure",
        "mean",
        "low",
        "high",
        "tasks",
        "groups",
        "undefined",
        "reason",
    ]
    assert rows[1:] == [
        ["ours", "pointing", "1.0", "", "", "2", "2", "0", ""],
        ["ours", "passes", "1.0", "", "", "2", "2", "0", ""],
        ["ours", "memory", "8.0", "", "", "1", "1", "1", "on 1 (not measured)"],
        ["theirs", "pointing", "0.25", "", "", "2", "2", "0", ""],
        ["theirs", "passes", "", "", "", "0", "0", "0", "OutOfMemoryError: too large"],
        ["theirs", "memory", "", "", "", "0", "0", "0", "OutOfMemoryError: too large"],
    ]


def test_json_is_json_and_has_the_values_of_every_image() -> None:
    content = strict(table().to_json())
    assert content["failures"] == ["theirs, cost: OutOfMemoryError: too large (n = 0)"]
    assert content["undefined"] == [
        "memory: n = 1 of 2 tasks; undefined for ours on 1 (not measured)"
    ]
    assert content["figures"][2] == {
        "explainer": "ours",
        "figure": "memory",
        "mean": 8.0,
        "low": None,
        "high": None,
        "tasks": 1,
        "groups": 1,
        "undefined": 1,
        "reason": "on 1 (not measured)",
    }
    assert content["figures"][4]["mean"] is None
    assert content["results"][1]["indices"] == [3, 5]
    assert content["results"][1]["rows"] == [[1.0, None], [1.0, 8.0]]


def test_a_result_is_stored_as_json() -> None:
    original = table().results[1]
    restored = Result.from_config(strict(json.dumps(original.to_config())))
    assert restored.values("memory") == {5: 8.0}
    assert restored.values("passes") == original.values("passes") == {3: 1.0, 5: 1.0}
    assert math.isnan(restored.rows[0][1])
    assert restored.to_config() == original.to_config()
    assert (type(restored.rows), type(restored.rows[0]), type(restored.indices)) == (tuple,) * 3


def test_summaries_have_the_number_of_images_and_the_failure() -> None:
    assert table().results[0].summary() == "2 tasks in 0.5 s"
    assert table().results[3].summary() == "0 tasks in 0.5 s; OutOfMemoryError: too large"


def test_the_figure_has_a_panel_for_each_figure_and_a_point_for_each_value() -> None:
    values = {image: float(image) for image in range(5)}
    comparison = Comparison((*table().results[1:2], result("more", "pointing", values)))
    figure = comparison.figure()
    panels = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_title(loc="left") for panel in panels] == [
        "passes ↓",
        "memory ",
        "pointing ↑",
    ]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["ours", "more"]
    interval, point = panels[2].lines
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([2.0], [1])
    value = comparison["more", "pointing"]
    assert list(interval.get_xdata()) == [value.low, value.high]
    # Two images have no interval.
    assert len(panels[0].lines) == 1


def test_all_is_saved(tmp_path) -> None:
    comparison, folder = table(), tmp_path / "deep" / "er"
    comparison.save(folder)
    assert {file.name for file in folder.iterdir()} == {
        f"comparison.{ending}" for ending in ("txt", "csv", "json", "md", "png")
    }
    assert (folder / "comparison.txt").read_text(encoding="utf-8") == comparison.to_text()
    assert (folder / "comparison.md").read_text(encoding="utf-8") == comparison.to_markdown()
    assert strict((folder / "comparison.json").read_text(encoding="utf-8"))
    assert (folder / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def test_why_figures_are_undefined_is_stated_once_for_all() -> None:
    values = {0: NAN, 1: 2.0, 2: NAN}
    results = [
        replace(result(name, "m", values), reasons=("empty", "", "constant")) for name in "ab"
    ]
    assert Comparison(tuple(results)).undefined() == [
        "m: n = 1 of 3 tasks; undefined for all explainers on 1 (empty), on 1 (constant)"
    ]


def test_images_that_others_lack_are_counted() -> None:
    comparison = Comparison((result("a", "m", {0: 1.0, 1: 3.0}), result("b", "m", {0: 5.0})))
    assert comparison.undefined() == ["m: n = 1 of 2 tasks"]
    assert "other explainers have no value for the tasks" in comparison.to_csv()


@pytest.mark.parametrize("rows", [((1.0,),), ((1.0, 2.0), (1.0,)), ((1.0,), (1.0,), (1.0,))])
def test_rows_that_do_not_fit_the_images_are_an_error(rows) -> None:
    with pytest.raises(ValueError, match=r"a, m: got . rows .* expected a row of all figures"):
        replace(result("a", "m", {0: 1.0, 1: 2.0}), rows=rows)


NAMES = ["$x_1$: a^b", "Straße | \\alpha", "道路\tx"]


def test_names_are_drawn_as_they_are() -> None:
    comparison = Comparison(tuple(result(name, "cost in $ and $", {0: 1.0}) for name in NAMES))
    with warnings.catch_warnings(), mpl.rc_context({"text.usetex": False}):
        warnings.simplefilter("error")
        figure = comparison.figure()
        figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [*NAMES[:2], "□□□x"]
    title = figure.axes[0]._left_title
    assert title.get_text() == "cost in $ and $ ↑"
    assert not any(text.get_parse_math() for text in (title, *labels))


def test_names_do_not_break_the_markdown_table() -> None:
    comparison = Comparison((result("a | b\nc", "m", {0: 1.0}),))
    header, rule, row = comparison.to_markdown().splitlines()
    assert row == r"| a \| b c | 1 (n = 1) |"
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in (header, rule, row)] == [3, 3, 3]
