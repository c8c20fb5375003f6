"""Tables of the experiments, from the records of their runs, in README and documentation.

Run ``python benchmarks/experiments/tables.py`` when records in ``benchmarks/experiments/results/``
are new. It replaces what stands between two comments such as ``<!-- camvid: ... -->`` and
``<!-- camvid: end -->`` in ``README.md`` and ``docs/camvid.md``, and writes ``docs/recipes.md``,
which shows the times of the runs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.experiments import recipe_costs
from benchmarks.experiments.pages import with_block
from benchmarks.experiments.records import RESULTS, Record
from protoxai.runtime.files import read_json, read_text, write_file
from protoxai.training.run_folder.run_record import differences, recorded_recipe
from protoxai.training.seed_scores import SeedScores, Spread, conditions

ROOT = Path(__file__).parents[2]
METHODS = ("ScaleProtoSeg", "ProtoSeg", "DeepLabv2")
VIDEO = "0006R0"
SPLITS = {
    None: "Usual split",
    VIDEO: f"Without the video {VIDEO}, validated on it",
}


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON files")
    folder = parser.parse_args().results
    camvid, shapes = read(folder, "camvid"), read(folder, "shapes")
    for page, name, text in (
        ("README.md", "camvid", short(camvid)),
        ("docs/camvid.md", "camvid", full(camvid)),
        ("README.md", "shapes", final_table(shapes)),
    ):
        write_file(ROOT / page, with_block(read_text(ROOT / page), name, text))
    recipe_costs.write_page()
    print(f"{len(camvid)} runs on CamVid, {len(shapes)} on synthetic shapes")


def read(folder: Path, experiment: str = "camvid") -> list[Record]:
    """Return the records of all runs of an experiment, ordered by method and seed."""
    records: list[Record] = [
        read_json(path) for path in sorted(folder.glob(f"{experiment}-*.json"))
    ]
    records.sort(key=lambda record: (METHODS.index(record["method"]), record["seed"]))
    check(records)
    return records


def check(records: Sequence[Record]) -> None:
    """Raise an error unless runs that differ in their seed alone have one recipe."""
    first: dict[tuple[str, str | None], Record] = {}
    for record in records:
        other = first.setdefault((record["method"], record.get("held_out")), record)
        recipes = [recorded_recipe({**each["recipe"], "seed": 0}) for each in (other, record)]
        changed = differences(*recipes)
        if changed:
            raise ValueError(
                f"the recipes of {record['method']}, seeds {other['seed']} and {record['seed']}, "
                f"differ in {', '.join(changed)}: run both by one recipe"
            )


def short(records: Sequence[Record]) -> str:
    """Return the table of final scores."""
    columns = [(split, "validation") for split in SPLITS] + [(None, "test")]
    columns = [column for column in columns if any(_final(records, m, *column) for m in METHODS)]
    if not columns:
        return "No run is finished yet.\n"
    heads = [_head(*column) for column in columns]
    lines = [["model", *heads, "prototypes in use, all runs"], ["---"] * (len(heads) + 2)]
    for method in METHODS:
        cells = [_with_count(_final(records, method, *column)) for column in columns]
        lines.append([method, *cells, _active(records, method)])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{table}\n{_note(records)}\n"


def final_table(records: Sequence[Record]) -> str:
    """Return the table of the final scores of an experiment with one split."""
    if not records:
        return "No run is finished yet.\n"
    runs = {
        method: [r["steps"][-1:] for r in records if r["method"] == method] for method in METHODS
    }
    table = SeedScores.of({method: seeds for method, seeds in runs.items() if seeds})
    return f"{table.to_markdown()}\n{_note(records)}\n"


def full(records: Sequence[Record]) -> str:
    """Return the tables of all steps, a section for each split."""
    sections = []
    for split, title in SPLITS.items():
        own = [record for record in records if record.get("held_out") == split]
        if not own:
            continue
        images = own[0]["images"]
        runs = {method: [r["steps"] for r in own if r["method"] == method] for method in METHODS}
        table = SeedScores.of({method: seeds for method, seeds in runs.items() if seeds})
        counts = f"{images['train']} images to train on, {images['val']} to validate on."
        sections.append(f"### {title}\n\n{counts}\n\n{table.to_markdown()}\n{_note(own)}\n")
    return "\n".join([short(records), *sections])


def _final(records: Sequence[Record], method: str, split: str | None, images: str) -> list[float]:
    """Return the mean IoU of each seed after the last step, in percent."""
    own = [r for r in records if r["method"] == method and r.get("held_out") == split]
    scores = [r["steps"][-1] if images == "validation" else r["test"] for r in own]
    return [100 * score["mean_iou"] for score in scores if score is not None]


def _head(split: str | None, images: str) -> str:
    return f"mIoU, {images}" if split is None else f"mIoU, {split} left out"


def _with_count(values: Sequence[float]) -> str:
    return f"{Spread(tuple(values))} (n = {len(values)})" if values else "–"


def _active(records: Sequence[Record], method: str) -> str:
    own = [r["steps"][-1] for r in records if r["method"] == method]
    if not any(step["prototypes"] for step in own):
        return ""
    return f"{statistics.fmean(step['active_prototypes'] for step in own):.0f}"


def _note(records: Sequence[Record]) -> str:
    """Return what stands beneath a table: its conditions, and which runs no commit reproduces."""
    note = f"Mean ± standard deviation over n seeds, percent; {conditions(records)}."
    changed = [_run(record) for record in records if (record["git"] or {}).get("changed")]
    if changed:
        note += f"\nRun from code with changes that were not committed: {'; '.join(changed)}."
    return note


def _run(record: Record) -> str:
    """Return which run a record is of."""
    video = record.get("held_out")
    left_out = f", {video} left out" if video else ""
    return f"{record['method']}, seed {record['seed']}{left_out}"


if __name__ == "__main__":
    main()
