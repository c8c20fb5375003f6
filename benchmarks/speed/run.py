"""Measures how fast everything is, side by side with what it is compared with.

Run it with ``python benchmarks/speed/run.py`` on a machine with nothing else to do: it writes
``speed.json``, ``speed.md`` and ``speed.png`` to ``benchmarks/speed/results/``. With ``--only`` the
other parts stay as they were measured before; ``--quick`` takes small shapes, to see that
everything runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.speed import (
    compiled,
    explanations,
    inference,
    logits,
    losses,
    models,
    report,
    scaling,
)
from benchmarks.speed.cases import Part, Setting

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Part] = {
    "losses": losses.over_pixels,
    "group-losses": losses.over_groups,
    "stage1": logits.stage1,
    "stage2": logits.stage2,
    "streaming": inference.streaming,
    "compact": inference.compact,
    "many-classes": inference.many_classes,
    "growth": scaling.growth,
    "training": models.training,
    "predict": models.inference,
    "projection": models.projection,
    "explanations": explanations.explanations,
    "compiled": compiled.compiled,
}


def main() -> None:
    """Measure the chosen parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, help="turns of each call (default: 5; if quick, 3)")
    parser.add_argument("--quick", action="store_true", help="small shapes; about two minutes")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--output", type=Path, help=f"(default: {RESULTS}; if quick, none)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rounds = chosen.rounds or (3 if chosen.quick else 5)
    setting = Setting(rounds, chosen.quick, chosen.device)
    output = chosen.output or (None if chosen.quick else RESULTS)
    parts = report.read(output) if output else {}
    for name in chosen.only:
        found = []
        for each in PARTS[name](setting):
            print(f"{name}: {each}", flush=True)
            found.append(each)
        parts[name] = report.part_content(found, setting)
        if output:
            ordered = {part: parts[part] for part in PARTS if part in parts}
            report.write(output, ordered)


if __name__ == "__main__":
    main()
