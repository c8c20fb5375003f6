"""Results as JSON, as a Markdown table and as a picture."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.cases import Setting
from benchmarks.speed.figure import Curve, Figure
from protoxai.runtime.files import read_json, read_text, write_file, write_json

Content = dict[str, Any]

LIBRARIES = ("protoxai", "torch", "torchvision", "timm", "captum")
HEADER = ("what", "where", "ratio", "measured", "range", "bound", "met", "quantities")


def part_content(results: Sequence[Figure | Curve], setting: Setting) -> Content:
    """Return the results of one part and a description of the machine, as plain values."""
    return {
        "machine": machine(setting.device),
        "rounds": setting.rounds,
        "results": [each.to_json() for each in results],
    }


def machine(device: torch.device) -> dict[str, str | int]:
    """Return the processor, the threads and the versions."""
    processor = _processor()
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    versions = {name: version(name) for name in LIBRARIES}
    system = {"system": platform.system(), "python": platform.python_version()}
    return {"processor": processor, "threads": torch.get_num_threads(), **system, **versions}


def write(folder: Path, parts: Mapping[str, Content]) -> None:
    """Write ``speed.json``, ``speed.md`` and ``speed.png``.

    Args:
        folder: Folder to write to; created if it does not exist.
        parts: Result of :func:`part_content` of each part, by name.
    """
    write_json(folder / "speed.json", dict(parts))
    write_file(folder / "speed.md", markdown(parts))
    _draw(parts, folder / "speed.png")


def read(folder: Path) -> dict[str, Content]:
    """Return the stored results, or an empty dictionary."""
    file = folder / "speed.json"
    return dict(read_json(file)) if file.exists() else {}


def markdown(parts: Mapping[str, Content]) -> str:
    """Return a table of all ratios, those with a bound first, and one of the curves."""
    results = [each for part in parts.values() for each in part["results"]]
    figures = [each for each in results if each["kind"] == "figure"]
    figures.sort(key=lambda figure: figure["bound"] is None)
    curves = [each for each in results if each["kind"] == "curve"]
    lines = ["# Speed", "", *_machines(parts), "", _row(HEADER), _row(["---"] * len(HEADER))]
    lines += [_row(_cells(figure)) for figure in figures]
    if curves:
        lines += ["", "## Growth", "", "Milliseconds; in brackets, those of the bare product.", ""]
        lines += [_curve_line(curve) for curve in curves]
    return "\n".join(lines) + "\n"


def _machines(parts: Mapping[str, Content]) -> list[str]:
    """Return one line for each machine and number of rounds, with the parts measured so."""
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        facts = ", ".join(f"{key} {value}" for key, value in part["machine"].items())
        groups.setdefault(f"{facts}; medians of {part['rounds']} rounds", []).append(name)
    return [f"- {', '.join(names)}: {facts}" for facts, names in groups.items()]


def _cells(figure: Content) -> list[str]:
    ratio = figure["ratio"]
    spread = f"{_short(ratio['low'])} – {_short(ratio['high'])}"
    quantities = "; ".join(f"{name} {_short(x)}" for name, x in figure["quantities"].items())
    return [
        figure["name"],
        figure["where"],
        figure["of"],
        f"**{_short(ratio['value'])}**",
        spread if ratio["low"] < ratio["high"] else "",
        figure["bound"] or "",
        {True: "yes", False: "**no**", None: ""}[figure["met"]],
        quantities,
    ]


def _curve_line(curve: Content) -> str:
    points = zip(curve["at"], curve["milliseconds"], curve["bare"], strict=True)
    shown = ", ".join(f"{x}: {_short(y)} ({_short(bare)})" for x, y, bare in points)
    return f"- {curve['name']} along {curve['along']}: {shown}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: float) -> str:
    """Return three significant digits, without an exponent."""
    digits = max(0, 2 - len(str(int(abs(value)))) + 1)
    return f"{value:.{digits}f}" if abs(value) >= 1 else f"{value:.3g}"


def _processor() -> str:
    """Return the processor's name; Python itself knows only its family on Linux."""
    info = Path("/proc/cpuinfo")
    lines = read_text(info).splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _draw(parts: Mapping[str, Content], file: Path) -> None:
    """Draw the curves, each relative to its first point: a straight diagonal is linear."""
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import LogLocator

    results = [each for part in parts.values() for each in part["results"]]
    curves = [each for each in results if each["kind"] == "curve"]
    if not curves:
        return
    along = list(dict.fromkeys(curve["along"] for curve in curves))
    canvas = Canvas(figsize=(3.4 * len(along), 3.6), layout="constrained")
    for axes, name in zip(canvas.subplots(1, len(along), squeeze=False)[0], along, strict=True):
        own = [curve for curve in curves if curve["along"] == name]
        for curve in own:
            relative = [y / curve["milliseconds"][0] for y in curve["milliseconds"]]
            axes.plot(curve["at"], relative, marker="o", markersize=3, label=curve["name"])
        bare, at = own[0]["bare"], own[0]["at"]
        axes.plot(at, [y / bare[0] for y in bare], color="grey", label="bare product")
        power = 2 if name == "map side" else 1
        linear = [(x / at[0]) ** power for x in at]
        axes.plot(at, linear, color="black", linestyle=":", label="linear in positions x maps")
        axes.set(xscale="log", yscale="log", xlabel=name, xticks=at)
        axes.minorticks_off()
        axes.set_xticklabels(at)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
    canvas.axes[0].set_ylabel("time, relative to the first point")
    canvas.axes[0].legend(fontsize="x-small")
    canvas.savefig(file, dpi=110)
