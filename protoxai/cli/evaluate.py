"""``protoxai evaluate``: the scores of a saved model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.cli.data_options import add_data_options, data_keys, given_data_keys
from protoxai.cli.plugins import import_plugins
from protoxai.runtime.checks import positive
from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "score a model on a data set"
DESCRIPTION = (
    "Score a model on the validation split of a data set. For a run folder the keys of the data "
    "are those of its recipe; for other models --data.dataset and the like name the data, and the "
    "settings of the evaluation are those that the model folder carries, if any. What is given "
    "here overrides both."
)
recipe_keys = data_keys


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument(
        "--window",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="Size of a sliding window, for large images; none by default.",
    )
    parser.add_argument(
        "--stride",
        type=int,
        nargs=2,
        metavar=("ROWS", "COLUMNS"),
        help="Step of the window; half its size by default.",
    )
    parser.add_argument(
        "--predictions", metavar="FOLDER", help="Folder for PNGs in the benchmark server's form."
    )
    parser.add_argument("--output", metavar="FILE", help="JSON file for the scores.")
    add_data_options(parser)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    window, stride = _sides("--window", options.window), _sides("--stride", options.stride)
    output, predictions = (
        None if path is None else expanded(path, name)
        for name, path in (("--output", options.output), ("--predictions", options.predictions))
    )
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.runtime.distributed import process_group, rank
    from protoxai.training.evaluate_saved import evaluate_model

    kept = "no scores were written; the same command starts again"
    if predictions is not None:
        kept += f"; the predictions so far are in {predictions}"
    with on_stop(lambda: f"stopped in the evaluation; {kept}"), process_group():
        report = evaluate_model(
            options.model,
            given_data_keys(options),
            window=window,
            stride=stride,
            predictions=predictions,
            output=output,
        )
        if rank() == 0:
            print_line(report.to_text())
    return 0


def _sides(name: str, given: list[int] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    height, width = (positive(name, side) for side in given)
    return height, width
