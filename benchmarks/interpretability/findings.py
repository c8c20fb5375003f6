"""What the studies found, from their stored results.

Run ``python benchmarks/interpretability/findings.py`` when the JSON files in
``benchmarks/interpretability/results/`` are new. It writes ``shapes.md`` and ``camvid.md`` beside
them, with all figures, and the headline figures to ``docs/findings.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.pages import with_block
from benchmarks.interpretability.records import RESULTS, Record, read
from protoxai.comparison import Comparison
from protoxai.comparison.report.headlines import CONCLUSIVE
from protoxai.runtime.files import read_text, write_file
from protoxai.runtime.text_tables import markdown_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/findings.md"
VIDEOS = ("0001TP", "0006R0", "0016E5")


def main() -> None:
    """Write the tables of all studies that are stored."""
    write(RESULTS, PAGE)


def write(results: Path, page: Path) -> None:
    """Write the tables of all studies that are stored.

    Args:
        results: Folder of the JSON files, and of the tables with all figures.
        page: Page with a block for each study.
    """
    text = read_text(page)
    if (results / "shapes.json").exists():
        record = read(results / "shapes.json")
        file = results / "shapes-parts.json"
        parts = f"\n{of_parts(read(file))}" if file.exists() else ""
        everything = section(record, details=True) + parts
        write_file(results / "shapes.md", f"# Synthetic shapes\n\n{everything}")
        text = with_block(text, "shapes", section(record, details=False) + parts)
    files = {video: results / f"camvid-{video}.json" for video in VIDEOS}
    videos = {video: read(file) for video, file in files.items() if file.exists()}
    if videos:
        sections = [f"## Asked about {v}\n\n{section(r, details=True)}" for v, r in videos.items()]
        write_file(results / "camvid.md", "\n".join(["# CamVid\n", by_video(videos), *sections]))
        text = with_block(text, "camvid", by_video(videos))
    write_file(page, text)


def section(record: Record, *, details: bool) -> str:
    """Return the scores of the models, the comparison, and the figures of the prototypes.

    Args:
        record: Stored comparison.
        details: Whether all figures are shown, or the headlines alone.
    """
    table, content = record.table, record.content
    images = len({name.image for name in table.tasks})
    scores = "\n".join(f"- {name}: {text}" for name, text in content["scores"].items())
    return (
        f"{len(table.tasks)} tasks on {images} images; {record.conditions}. The models:\n\n{scores}"
        f"\n\nTheir explanations:\n\n{table.to_markdown(details)}\nTheir prototypes:\n\n"
        f"{columns(content['prototypes'])}"
    )


def of_parts(record: Record) -> str:
    """Return the comparison on tasks whose parts were removed one by one."""
    return (
        f"Removing parts one by one, on {len(record.table.tasks)} tasks whose class has at least "
        f"three; {record.conditions}:\n\n{record.table.to_markdown()}"
    )


def columns(figures: Mapping[str, Mapping[str, str]]) -> str:
    """Return a table with a row for each figure and a column for each model."""
    names = list(dict.fromkeys(name for column in figures.values() for name in column))
    rows = [[name, *(column.get(name, "–") for column in figures.values())] for name in names]
    return markdown_table([["figure", *figures], *rows])


def by_video(videos: Mapping[str, Record]) -> str:
    """Return a table for each conclusive figure: its mean by video, and outcomes by task.

    A win is a task on which the model's first explainer is better than the one of the row.
    """
    tables = {video: record.table for video, record in videos.items()}
    first = next(iter(tables.values()))
    scores = [
        f"- {name}: {text}\n"
        for record in videos.values()
        for name, text in record.content["scores"].items()
    ]
    parts = ["".join(scores)]
    conditions = "; ".join(dict.fromkeys(record.conditions for record in videos.values()))
    counts = ", ".join(f"{len(table.tasks)} ({video})" for video, table in tables.items())
    parts.append(f"Tasks: {counts}. {conditions}.\n")
    for figure in [figure for figure in CONCLUSIVE if figure in first.figures]:
        lines = [["explainer", *tables, *(f"wins–ties–losses, {video}" for video in tables)]]
        for block in first.blocks():
            for name in block.explainers + block.references:
                means = [_mean(table, name, figure) for table in tables.values()]
                apart = [_wins(table, block.chosen, name, figure) for table in tables.values()]
                lines.append([name, *means, *apart])
        parts.append(f"**{figure}**\n\n{markdown_table(lines)}")
    return "\n".join(parts)


def _mean(table: Comparison, name: str, figure: str) -> str:
    value = table[name, figure]
    if value is None:
        return "–"
    count = "" if value.tasks == len(table.tasks) else f" (n = {value.tasks})"
    return f"{value.mean:.3f}{count}"


def _wins(table: Comparison, first: str, other: str, figure: str) -> str:
    if first == other or table[first, figure] is None or table[other, figure] is None:
        return ""
    difference = table.difference(first, other, figure)
    return f"{difference.wins}–{difference.ties}–{difference.losses}"


if __name__ == "__main__":
    main()
