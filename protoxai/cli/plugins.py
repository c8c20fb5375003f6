"""The option that imports users' own modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protoxai.runtime.plugins import import_plugin

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def add_plugin_option(parser: ArgumentParser) -> None:
    """Add ``--plugin`` to the options of a command."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE_OR_FILE",
        help="Module of your own (a dotted name or a .py file) that registers data sets, losses, "
        "metrics or explainers; may be given several times.",
    )


def import_plugins(options: Namespace) -> tuple[str, ...]:
    """Import the modules that were given, and return their names or absolute paths."""
    return tuple(import_plugin(plugin) for plugin in options.plugin)
