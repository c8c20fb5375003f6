"""Fail if a part became more than 30 % slower, or needs more than 30 % more memory, than before.

Run ``python benchmarks/speed/guard.py``; it takes about a minute. It compares costs relative to a
yardstick measured side by side in the same process, never seconds, on shapes that stay in the
cache, so that one file of stored ratios serves every machine. After a change that is meant to cost
more (or less), store new costs with ``--update``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.speed.guarded import GUARDED
from protoxai.runtime.files import read_json, write_json

REFERENCE = Path(__file__).parent / "reference.json"
ALLOWED = 1.3
# Other work on the machine makes a ratio worse now and then, but rarely this often in a row.
ATTEMPTS = 5

Cost = Callable[[], float]


@dataclass(frozen=True)
class Verdict:
    """Comparison of a cost with the stored one.

    Attributes:
        name: Name of the cost.
        stored: Stored cost; None if there is none.
        measured: Best cost of all attempts; None if it is no longer measured.
    """

    name: str
    stored: float | None
    measured: float | None

    @property
    def good(self) -> bool:
        """Whether the cost is at most 30 % above the stored one."""
        if self.stored is None or self.measured is None:
            return False
        return self.measured <= ALLOWED * self.stored

    def __str__(self) -> str:
        stored, measured = (
            "missing" if cost is None else f"{cost:.3g}" for cost in (self.stored, self.measured)
        )
        change = ""
        if self.stored and self.measured:
            change = f"{self.measured / self.stored - 1:+.0%}"
        verdict = "ok" if self.good else "WORSE" if change else "run --update"
        return f"{self.name:<42} {stored:>8} {measured:>8} {change:>7}  {verdict}"


def judge(
    guarded: Mapping[str, Callable[[], Cost]], reference: Mapping[str, float]
) -> Iterator[Verdict]:
    """Measure each cost, repeatedly while it looks worse than the stored one, and compare.

    Args:
        guarded: Functions that prepare the measurement of each cost, by name.
        reference: Stored costs, by name.
    """
    for name, prepare in guarded.items():
        cost = prepare()
        verdict = Verdict(name, reference.get(name), cost())
        for _ in range(ATTEMPTS - 1):
            if verdict.good or verdict.stored is None:
                break
            assert verdict.measured is not None
            verdict = Verdict(name, verdict.stored, min(verdict.measured, cost()))
        yield verdict
    for name in sorted(set(reference) - set(guarded)):
        yield Verdict(name, reference[name], None)


def typical(guarded: Mapping[str, Callable[[], Cost]]) -> dict[str, float]:
    """Return the median of each cost over some attempts, to three digits."""
    costs = {}
    for name, prepare in guarded.items():
        cost = prepare()
        costs[name] = float(f"{statistics.median(cost() for _ in range(ATTEMPTS)):.3g}")
        print(f"{name:<42} {costs[name]:>8}", flush=True)
    return costs


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare with the stored costs, or store new ones, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="store what is measured now")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="file of stored costs")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if chosen.update:
        write_json(chosen.reference, typical(GUARDED))
        return 0
    print(f"{'cost relative to its yardstick':<42} {'stored':>8} {'now':>8} {'change':>7}")
    reference = read_json(chosen.reference)
    failed = []
    for verdict in judge(GUARDED, reference):
        print(verdict, flush=True)
        if not verdict.good:
            failed.append(verdict.name)
    if failed:
        print(f"more than {ALLOWED - 1:.0%} worse, or not comparable: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
