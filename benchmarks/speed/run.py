"""Measure the speed of every part beside a yardstick.

Run ``python benchmarks/speed/run.py`` on an idle machine. It writes ``speed.json``, ``speed.md``
and ``speed.png`` to ``benchmarks/speed/results/``. With ``--only``, the results of all
other parts stay as they are. ``--quick`` only checks that everything runs, on small shapes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.speed import (
    explanations,
    inference,
    logits,
    models,
    report,
    scaling,
)
from benchmarks.speed.cases import Part, Setting

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Part] = {
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
}


def main() -> None:
    """Measure the chosen parts and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, help="turns of each call (default: 5; if quick, 3)")
    parser.add_argument("--quick", action="store_true", help="small shapes, nothing written")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--output", type=Path, help=f"(default: {RESULTS}; if quick, none)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rounds = chosen.rounds or (3 if chosen.quick else 5)
    setting = Setting(rounds, chosen.quick, chosen.device)
    output = chosen.output or (None if chosen.quick else RESULTS)
    parts = report.read(output) if output else {}
    for name in chosen.only:
        results = []
        for each in PARTS[name](setting):
            print(f"{name}: {each}", flush=True)
            results.append(each)
        parts[name] = report.part_content(results, setting)
        if output:
            ordered = {part: parts[part] for part in PARTS if part in parts}
            report.write(output, ordered)


if __name__ == "__main__":
    main()
