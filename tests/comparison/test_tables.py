"""Tables as text, Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest

from protoxai.comparison import Comparison, Result
from protoxai.comparison.report.numbers import with_interval
from protoxai.comparison.report.tables import LEGEND
from tests.comparison.test_measurements import values
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


def two_models() -> Comparison:
    """A headline figure and another one, of two models with a reference each."""
    figures = {"faithfulness": True, "deletion": None}
    shifts = {"groups": 0.5, "Saliency": 0.2, "edges": 0.0}
    return Comparison(
        tuple(
            result(
                f"{model}: {name}",
                "m",
                {task: (value, -value) for task, value in values(shift).items()},
                figures,
                model=model,
                reference=name == "edges",
            )
            for model in ("Ours", "Theirs")
            for name, shift in shifts.items()
        )
    )


def test_rows_columns_and_arrows() -> None:
    comparison = table()
    assert comparison.explainers == ["ours", "theirs"]
    assert comparison.figures == {"pointing": True, "passes": False, "memory": None}
    assert comparison.to_text() == (
        "explainer  pointing ↑  passes ↓  memory\n"
        "ours       1, n=2      1, n=2    8, n=1\n"
        "theirs     0.25, n=2   –         –\n"
        "\n"
        f"{LEGEND}\n"
        "theirs, cost: OutOfMemoryError: too large (n = 0)\n"
        "memory: undefined on 1 task for ours (not measured)\n"
    )
    assert comparison.to_markdown() == (
        "| explainer | pointing ↑ | passes ↓ | memory |\n"
        "| --- | --- | --- | --- |\n"
        "| ours | 1, n=2 | 1, n=2 | 8, n=1 |\n"
        "| theirs | 0.25, n=2 | – | – |\n"
        "\n"
        f"{LEGEND} Bold: best of the model, or not distinguishable from it. Italic: reference "
        "maps.\n"
        "\n"
        "- theirs, cost: OutOfMemoryError: too large (n = 0)\n"
        "- memory: undefined on 1 task for ours (not measured)\n"
    )


def test_sentences_and_headlines_stand_first_model_by_model() -> None:
    text = two_models().to_text()
    lines = text.splitlines()
    assert lines[0].startswith("Ours, faithfulness: on 12 tasks, groups is more faithful than ")
    headers = [lines[place - 1] for place, line in enumerate(lines) if "explainer " in line]
    assert headers == ["Ours", "Theirs"]
    rows = [line for line in lines if line.startswith(("groups", "Saliency", "(edges)"))]
    assert len(rows) == 6
    assert re.match(r"groups +\*\d\.\d+ \[", rows[0])
    assert re.match(r"\(edges\) +\d\.\d+ \[", rows[2])
    assert "deletion" not in text
    details = two_models().to_text(details=True)
    assert details.count("deletion") == 2
    assert "Ours, details" in details
    assert set(lines) <= set(details.splitlines())


def test_tables_without_details_say_nothing_of_them() -> None:
    first, *others = two_models().results
    rows = ((first.rows[0][0], NAN), (NAN, first.rows[1][1]), *first.rows[2:])
    reasons = ("no deletion", "no faithfulness", *[""] * (len(rows) - 2))
    comparison = Comparison((replace(first, rows=rows, reasons=reasons), *others))
    known = "faithfulness: undefined on 1 task for Ours: groups (no faithfulness)"
    hidden = "deletion: undefined on 1 task for Ours: groups (no deletion)"
    for short, whole in (
        (comparison.to_text(), comparison.to_text(details=True)),
        (comparison.to_markdown(details=False), comparison.to_markdown()),
    ):
        assert known in short
        assert "deletion" not in short
        assert {known, hidden} <= {line.removeprefix("- ") for line in whole.splitlines()}
        assert set(short.splitlines()) <= set(whole.splitlines())
    assert table().to_markdown(details=False) == table().to_markdown()


def test_tables_without_headlines_name_their_models() -> None:
    results = tuple(result(f"{m}: a", "m", {0: 1.0}, model=m) for m in ("Ours", "Theirs"))
    lines = Comparison(results).to_text().splitlines()
    headers = [lines[place - 1] for place, line in enumerate(lines) if "explainer " in line]
    assert headers == ["Ours", "Theirs"]


def test_markdown_has_bold_italics_and_details() -> None:
    text = two_models().to_markdown()
    assert text.startswith("- Ours, faithfulness: on 12 tasks")
    titles = re.findall(r"^\*\*(.*)\*\*$", text, re.MULTILINE)
    assert titles == ["Ours", "Theirs", "Ours, details", "Theirs, details"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert re.match(r"\| groups \| \*\*.*, n=12\*\* \|$", rows[2])
    assert re.match(r"\| \*edges\* \| [^*]*, n=12 \|$", rows[4])
    # What only describes has neither an arrow nor a best value.
    assert "| explainer | deletion |" in rows
    assert all("**" not in row for row in rows[rows.index("| explainer | deletion |") :][:5])


def test_latex_is_for_booktabs() -> None:
    first, second = two_models().to_latex().split("\n\n")
    assert first.startswith("% Ours\n\\begin{tabular}{lc}\n\\toprule\n")
    assert second.rstrip().endswith("\\bottomrule\n\\end{tabular}")
    assert r"explainer & faithfulness $\uparrow$ \\" in first
    assert re.search(r"^groups & \\textbf\{.*, n=12\} \\\\$", first, re.MULTILINE)
    assert re.search(r"^\\textit\{edges\} & \d.*, n=12 \\\\$", first, re.MULTILINE)
    odd = Comparison((result("a_b & 50 %", "m_1", {0: 1.0}),)).to_latex()
    assert r"a\_b \& 50 \% & 1, n=1 \\" in odd


def test_tasks_and_groups_are_counted_in_every_cell() -> None:
    comparison = two_models()
    names = tuple(replace_group(task) for task in range(12))
    grouped = replace(comparison, tasks=names)
    assert ", n=12/6" in grouped.to_text()
    assert "6 groups: a rough interval" in grouped.to_text()


def test_the_caution_counts_the_groups_that_were_measured() -> None:
    names = tuple(replace_group(task) for task in range(100))
    text = replace(two_models(), tasks=names, group_noun="videos").to_text()
    assert "6 videos: a rough interval" in text.splitlines()


def replace_group(task: int):
    from protoxai.comparison import TaskName

    return TaskName(task, task, 0, task // 2)


def many(explainers: int, figures: int, name: str = "ScaleProtoSeg: LayerGradientXActivation"):
    directions = {f"figure_{number}": True for number in range(figures)}
    # Their interval is that of Student, 0.4321 ± 0.5555.
    step = 0.5555 * 5**0.5 / 2.7764
    rows = {i: (0.4321 + step * way,) * figures for i, way in enumerate((1, -1, 1, -1, 0))}
    return Comparison(
        tuple(result(f"{name} {e}", "m", rows, directions) for e in range(explainers))
    )


@pytest.mark.parametrize(("explainers", "figures"), [(1, 1), (12, 20), (40, 3), (2, 64)])
def test_text_stays_narrow_and_has_every_figure_of_every_explainer(explainers, figures) -> None:
    comparison = many(explainers, figures)
    lines = comparison.to_text().splitlines()
    assert max(map(len, lines)) <= 118
    headers = [line for line in lines if line.startswith("explainer")]
    names = [word for line in headers for word in line.split() if word.startswith("figure")]
    assert names == list(comparison.figures)
    # Three fit beside such names, where there are such.
    for explainer in comparison.explainers:
        rows = [line for line in lines if line.startswith(f"{explainer} ")]
        assert len(rows) == len(headers)
        assert sum(row.count("0.43 [-0.12, 0.99]") for row in rows) == figures
    # A figure's values stand below its name.
    place = lines.index(headers[0])
    assert lines[place + 1].index("0.43 [") - headers[0].index("figure_0") in (0, 1)


def test_names_too_long_for_the_terminal_are_kept() -> None:
    lines = many(2, 3, name="x" * 150).to_text().splitlines()
    headers = [line for line in lines if line.startswith("explainer")]
    assert [line.count("figure") for line in headers] == [1, 1, 1]
    assert sum("x" * 150 in line for line in lines) == 6


def test_csv_has_a_line_for_each_figure() -> None:
    rows = list(csv.reader(io.StringIO(table().to_csv())))
    fields = ["mean", "low", "high", "tasks", "groups", "undefined", "reason"]
    assert rows[0] == ["model", "explainer", "reference", "figure", *fields]
    assert rows[1:] == [
        ["", "ours", "0", "pointing", "1.0", "", "", "2", "2", "0", ""],
        ["", "ours", "0", "passes", "1.0", "", "", "2", "2", "0", ""],
        ["", "ours", "0", "memory", "8.0", "", "", "1", "1", "1", "on 1 (not measured)"],
        ["", "theirs", "0", "pointing", "0.25", "", "", "2", "2", "0", ""],
        ["", "theirs", "0", "passes", "", "", "", "0", "0", "0", "OutOfMemoryError: too large"],
        ["", "theirs", "0", "memory", "", "", "", "0", "0", "0", "OutOfMemoryError: too large"],
    ]


def test_json_is_json_and_has_the_values_of_every_task() -> None:
    content = strict(table().to_json())
    assert content["failures"] == ["theirs, cost: OutOfMemoryError: too large (n = 0)"]
    assert content["undefined"] == ["memory: undefined on 1 task for ours (not measured)"]
    assert content["figures"][2] == {
        "model": "",
        "explainer": "ours",
        "reference": False,
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


def test_json_has_the_differences_and_the_sentences() -> None:
    comparison = two_models()
    content = strict(comparison.to_json())
    assert content["sentences"] == comparison.sentences()
    pairs = [(d["first"], d["second"], d["figure"]) for d in content["differences"]]
    assert pairs == [
        (f"{model}: groups", f"{model}: {name}", "faithfulness")
        for model in ("Ours", "Theirs")
        for name in ("Saliency", "edges")
    ]
    [first, *_] = content["differences"]
    assert first["mean"] == comparison.difference(*pairs[0]).mean


def test_json_has_the_differences_between_models() -> None:
    comparison = Comparison(
        tuple(
            result(f"{model}: own", "relevance_mass", values(shift), model=model)
            for model, shift in (("Ours", 0.3), ("Theirs", 0.0))
        )
    )
    [pair] = strict(comparison.to_json())["differences"]
    assert (pair["first"], pair["second"]) == ("Ours: own", "Theirs: own")
    assert pair["mean"] == comparison.difference("Ours: own", "Theirs: own", "relevance_mass").mean


def test_a_result_is_stored_as_json() -> None:
    original = table().results[1]
    restored = Result.from_config(strict(json.dumps(original.to_config())))
    assert restored.values("memory") == {5: 8.0}
    assert restored.values("passes") == original.values("passes") == {3: 1.0, 5: 1.0}
    assert math.isnan(restored.rows[0][1])
    assert restored.to_config() == original.to_config()
    assert (type(restored.rows), type(restored.rows[0]), type(restored.indices)) == (tuple,) * 3


def test_all_is_saved(tmp_path) -> None:
    comparison, folder = two_models(), tmp_path / "deep" / "er"
    comparison.save(folder)
    names = {f"comparison.{ending}" for ending in ("txt", "csv", "json", "md", "tex", "png")}
    assert {file.name for file in folder.iterdir()} == names | {"differences.png", "cost.png"}
    text = (folder / "comparison.txt").read_text(encoding="utf-8")
    assert text == comparison.to_text(details=True)
    for ending, content in (("md", comparison.to_markdown()), ("tex", comparison.to_latex())):
        assert (folder / f"comparison.{ending}").read_text(encoding="utf-8") == content
    assert strict((folder / "comparison.json").read_text(encoding="utf-8"))
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in folder.glob("*.png"))


def test_names_do_not_break_the_markdown_table() -> None:
    comparison = Comparison((result("a | b\nc", "m", {0: 1.0}),))
    header, rule, row = (s for s in comparison.to_markdown().splitlines() if s.startswith("|"))
    assert row == r"| a \| b c | 1, n=1 |"
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in (header, rule, row)] == [3, 3, 3]


def test_a_line_end_in_a_model_name_does_not_end_the_comment() -> None:
    text = Comparison((result("a", "m", {0: 1.0}, model="U-Net\n50"),)).to_latex()
    assert text.startswith("% U-Net 50\n\\begin{tabular}")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.4321, 0.1, 0.7), "0.43 [0.10, 0.70]"),
        ((12.34, 1.0, 30.0), "12 [1, 30]"),
        ((12345.0, 10000.0, 20000.0), "12345 [10000, 20000]"),
        ((-0.0004, -0.1, 0.1), "0.00 [-0.10, 0.10]"),
        ((1.0, 1.0, 1.0), "1 [1, 1]"),
        ((3e-7, 1e-7, 5e-7), "3e-07 [1e-07, 5e-07]"),
        ((0.123456, NAN, NAN), "0.123"),
    ],
)
def test_numbers_have_as_many_digits_as_their_intervals_justify(numbers, text: str) -> None:
    assert with_interval(*numbers) == text
