"""Kill runs at random moments; record what the user sees and what is kept.

Each run is a process of its own on tiny data, which gets a signal at a random moment of one phase
and is then continued by the command that its message names. What it ends with is compared with an
undisturbed run: weights bit by bit, scores and comparisons figure by figure.

    python benchmarks/reliability/kill.py --runs 100

The results are `kills.json` and the table `kills.md` in `benchmarks/reliability/results/`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from protoxai.runtime.files import read_json, write_file, write_json

RESULTS = Path(__file__).parent / "results"
RECIPE = """
name: killed
seed: 7
loggers: []
checkpoint_every: 3
data: {dataset: folder, root: ROOT, options: {num_classes: 9}, crop: [64, 64], batch_size: 2,
       evaluation_batch_size: 4}
model: {backbone: timm/test_resnet, pretrained: false, prototypes_per_scale: 2, prototype_dim: 8,
        atrous_rates: [1, 2]}
stages:
  - {name: joint, steps: 14, before: [initialise], after: [project],
     learning_rates: {backbone: 1.0e-3, scales: 1.0e-3, prototypes: 1.0e-2}}
  - {name: grouping, steps: 8, before: [group], after: [threshold],
     learning_rates: {groups: 1.0e-2, last_layer: 1.0e-2}}
"""
COMPARISON = ["--images", "2", "--metrics", "sparseness", "complexity"]
COMPARISON += ["--methods", "groups", "Saliency"]
# The function that a phase spends its time in: module, name, and its first argument if only that
# one counts.
PHASES = {
    "train": ("protoxai.training.stages.stage", "_train", None),
    "projection": ("protoxai.training.runner", "run_action", "project"),
    "save": ("protoxai.training.stages.checkpoints", "write_file", None),
    "evaluate": ("protoxai.training.evaluate_saved", "evaluate", None),
    "compare": ("protoxai.attribution.base", "AttributionMethod.__call__", None),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PARALLEL = 3
LONGEST = 240.0
"""Seconds after which a process is given up."""


@dataclass(frozen=True)
class Kill:
    """One killed run.

    Attributes:
        phase: Phase that the signal hit.
        signal: Name of the signal.
        code: Exit code, negative for the number of a signal.
        seen: Last line that the user sees, with # for numbers and paths cut.
        again: What the user does then.
        same: Whether the continued run ended as the undisturbed one.
    """

    phase: str
    signal: str
    code: int
    seen: str
    again: str
    same: bool


def main() -> None:
    """Kill runs, and write the results and the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kills = kill_runs(Path(folder), options.runs, options.seed)
    write_json(RESULTS / "kills.json", [asdict(kill) for kill in kills])
    write_file(RESULTS / "kills.md", table(kills))
    print(table(kills))


def kill_runs(folder: Path, runs: int, seed: int) -> list[Kill]:
    """Return killed runs, as many in each phase.

    Args:
        folder: Folder for the runs, empty.
        runs: Number of runs.
        seed: Seed of the random moments.
    """
    _write_data(folder / "data")
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(folder / "data")))
    whole = folder / "whole"
    bench = Bench()
    lasting = {}
    for phase in PHASES:
        undisturbed = command(phase, folder, whole)
        if undisturbed[0] == "train":
            shutil.rmtree(whole, ignore_errors=True)
        ended = bench.run(undisturbed, phase)
        if ended.code:
            raise RuntimeError(f"{' '.join(undisturbed)} ended with {ended.code}: {ended.seen}")
        lasting[phase] = ended.lasting
    expected = {phase: outcome(phase, whole) for phase in PHASES}

    def kill(number: int) -> Kill:
        chance = random.Random(f"{seed} {number}")
        phase = list(PHASES)[number % len(PHASES)]
        sent = SIGNALS[number // len(PHASES) % len(SIGNALS)]
        run = folder / str(number)
        if phase in ("evaluate", "compare"):
            shutil.copytree(whole, run, ignore=shutil.ignore_patterns("scores*", "comparison*"))
        call = chance.randrange(len(lasting[phase]))
        moment = chance.uniform(0, lasting[phase][call])
        killed = bench.run(command(phase, folder, run), phase, sent, call, moment)
        again = "the same command"
        continued = command(phase, folder, run)
        if continued[0] == "train" and any(run.glob("checkpoints/*.pt")):
            again = "--resume"
            continued.append("--resume")
        done = bench.run(continued, phase)
        same = done.code == 0 and outcome(phase, run) == expected[phase]
        shutil.rmtree(run)
        result = Kill(phase, sent.name, killed.code, killed.seen, again, same)
        print(number, result, "" if same else done, flush=True)
        return result

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(kill, range(runs)))


def _write_data(folder: Path) -> None:
    """Write synthetic scenes as files, which are read faster than they are drawn."""
    from PIL import Image

    from protoxai.data import Shapes

    for split in ("train", "val"):
        shapes = Shapes(split=split, size=64, length=8)
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for number in range(len(shapes)):
            sample = shapes.raw(number)
            image = Image.fromarray(sample.image.permute(1, 2, 0).numpy())
            image.save(folder / split / "images" / f"{number}.png")
            labels = Image.fromarray(sample.labels.byte().numpy())
            labels.save(folder / split / "labels" / f"{number}.png")


def command(phase: str, folder: Path, run: Path) -> list[str]:
    """Return the arguments of the command that has the phase."""
    if phase == "evaluate":
        return ["evaluate", str(run), "--output", str(run / "scores.json")]
    if phase == "compare":
        return ["compare", str(run), "--output", str(run / "comparison"), *COMPARISON]
    return ["train", str(folder / "recipe.yaml"), "--no-check", "--output", str(run)]


def outcome(phase: str, run: Path) -> Any:
    """Return what the command has written, without times."""
    if phase == "evaluate":
        return read_json(run / "scores.json")
    if phase == "compare":
        return _without_times(read_json(run / "comparison" / "comparison.json"))
    metrics = _without_times(read_json(run / "metrics.json"))
    return metrics, (run / "model" / "model.safetensors").read_bytes()


def table(kills: list[Kill]) -> str:
    """Return the kills as a table in Markdown: one row per phase, signal and what is seen."""
    rows: dict[tuple[str, ...], list[Kill]] = {}
    for kill in kills:
        rows.setdefault((kill.phase, kill.signal, str(kill.code), kill.seen), []).append(kill)
    lines = [
        "| killed in | by | exit code | what the user sees | continued by | as undisturbed |",
        "|---|---|---|---|---|---|",
    ]
    order = [*PHASES], [sent.name for sent in SIGNALS]
    for (phase, sent, code, seen), group in sorted(
        rows.items(), key=lambda row: (order[0].index(row[0][0]), order[1].index(row[0][1]), row)
    ):
        again = " or ".join(sorted({kill.again for kill in group}))
        same = f"{sum(kill.same for kill in group)} of {len(group)}"
        lines.append(f"| {phase} | {sent} | {code} | {seen or 'nothing'} | {again} | {same} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, last line, and the seconds of each call of its phase."""

    code: int
    seen: str
    lasting: list[float]


class Bench:
    """Runs commands in processes of their own, forked from one that has loaded the libraries."""

    def __init__(self) -> None:
        self._processes = multiprocessing.get_context("forkserver")
        heavy = [module for module, _, _ in PHASES.values()]
        self._processes.set_forkserver_preload(["matplotlib.pyplot", "captum.attr", *heavy])

    def run(
        self,
        arguments: list[str],
        phase: str,
        sent: signal.Signals | None = None,
        call: int = 0,
        moment: float = 0.0,
    ) -> Ended:
        """Run a command, and send a signal at a moment of a call of the phase.

        Args:
            arguments: Arguments of the command line.
            phase: Phase whose calls are timed.
            sent: Signal to send; None for an undisturbed run.
            call: Number of the call within which to send it.
            moment: Seconds after the call's beginning.
        """
        ours, theirs = self._processes.Pipe(duplex=False)
        log = Path(arguments[arguments.index("--output") + 1] + ".log")
        log.parent.mkdir(exist_ok=True)
        process = self._processes.Process(target=_work, args=(arguments, phase, theirs, str(log)))
        process.start()
        theirs.close()
        times = list(_times(ours, process.pid or 0, sent, call, moment))
        process.join(LONGEST)
        if process.is_alive():
            process.kill()
            process.join()
            return Ended(-1, "it did not end", [])
        printed = log.read_text(encoding="utf-8").strip().splitlines()
        # Python itself prints nothing when a signal ends it.
        last = printed[-1] if printed and process.exitcode != -signal.SIGKILL else ""
        lasting = [end - start for start, end in zip(times[::2], times[1::2], strict=False)]
        return Ended(int(process.exitcode or 0), _general(last, arguments), lasting)


def _times(
    channel: Connection, pid: int, sent: signal.Signals | None, call: int, moment: float
) -> Iterator[float]:
    """Yield the times at which calls began and ended, and send the signal in between."""
    count = 0
    with channel:
        while True:
            try:
                yield channel.recv()
            except EOFError:
                return
            if sent is not None and count == 2 * call:
                time.sleep(moment)
                try:
                    os.kill(pid, sent)
                except ProcessLookupError:
                    return
            count += 1


def _work(arguments: list[str], phase: str, channel: Connection, log: str) -> None:
    """Run a command in this process, and send the times of the phase's calls."""
    # Background jobs of a shell are started with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import torch

    from protoxai.cli.main import main as protoxai

    torch.set_num_threads(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    name, function, first = PHASES[phase]
    owner: Any = import_module(name)
    *classes, function = function.split(".")
    for part in classes:
        owner = getattr(owner, part)
    setattr(owner, function, _timed(getattr(owner, function), first, channel))
    # The picture at the end takes longer than the training, and is no phase of interest.
    command_train: Any = import_module("protoxai.cli.train")
    command_train._write_explanations = lambda *_: []
    sys.exit(protoxai(arguments))


def _timed(
    original: Callable[..., Any], first: str | None, channel: Connection
) -> Callable[..., Any]:
    @contextmanager
    def timing() -> Iterator[None]:
        channel.send(time.monotonic())
        yield
        channel.send(time.monotonic())

    def call(*arguments: Any, **options: Any) -> Any:
        if first is not None and arguments[0] != first:
            return original(*arguments, **options)
        with timing():
            return original(*arguments, **options)

    return call


def _general(line: str, arguments: list[str]) -> str:
    """Return a line with # for numbers and OUTPUT for the path of the run."""
    folder = arguments[arguments.index("--output") + 1]
    folder = folder.removesuffix("/scores.json").removesuffix("/comparison")
    line = line.replace(folder, "OUTPUT")
    return re.sub(r"\d+", "#", line)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if "second" not in k}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
