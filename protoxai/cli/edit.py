"""``protoxai edit``: a model without prototypes that a person judges to be wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protoxai.cli.data_options import add_data_options, data_keys, given_data_keys
from protoxai.cli.plugins import import_plugins
from protoxai.runtime.console import print_line
from protoxai.runtime.extras import require
from protoxai.runtime.paths import expanded
from protoxai.runtime.stopping import on_stop

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "remove prototypes from a model"
DESCRIPTION = (
    "Write a model without some of its prototypes to a new folder, and print its scores before and "
    "after on the validation split of a data set. With --refit the last layer is refitted on the "
    "training images. For a run folder the keys of the data are those of its recipe; for other "
    "models --data.dataset and the like name the data. What is given here overrides both."
)
recipe_keys = data_keys
INDICES = re.compile(r"\s*\d+\s*(,\s*\d+\s*)*")


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="Run folder, model folder, or hub id OWNER/NAME.")
    parser.add_argument(
        "--without",
        required=True,
        metavar="FILE_OR_INDICES",
        help="JSON file of marks that a report saved, or indices such as 3,17.",
    )
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="New folder for the edited model."
    )
    parser.add_argument(
        "--refit", action="store_true", help="Refit the last layer on the training images."
    )
    parser.add_argument(
        "--image", metavar="FILE", help="Image whose explanation is compared before and after."
    )
    add_data_options(parser)


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    output = expanded(options.output, "--output")
    image = None if options.image is None else expanded(options.image, "--image")
    without = options.without
    require("train", "lightning", "rich")
    import_plugins(options)
    from protoxai.runtime.distributed import process_group, rank
    from protoxai.training.edit_saved import edit_saved

    with on_stop(lambda: "stopped in the edit; no model was written"), process_group():
        edit = edit_saved(
            options.model,
            [int(index) for index in without.split(",")] if INDICES.fullmatch(without) else without,
            output,
            given_data_keys(options),
            refit=options.refit,
            image=image,
        )
        if rank() == 0:
            print_line(f"{edit.to_text()}\n\nmodel: {output}")
    return 0
