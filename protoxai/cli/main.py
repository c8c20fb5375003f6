"""The command line: the parser of all commands, their dispatch, and the exit codes."""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from protoxai import __version__
from protoxai.cli import (
    compare,
    data,
    demo,
    edit,
    evaluate,
    explain,
    predict,
    prototypes,
    recipes,
    report,
    train,
)
from protoxai.runtime.checks import did_you_mean
from protoxai.runtime.console import use_plain_text
from protoxai.runtime.extras import require
from protoxai.runtime.failures import explained, is_own_file
from protoxai.runtime.launchers import is_first_process
from protoxai.runtime.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

COMMANDS = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "explain": explain,
    "predict": predict,
    "compare": compare,
    "prototypes": prototypes,
    "report": report,
    "edit": edit,
    "data": data,
    "recipes": recipes,
}
NOT_SHARED = ("explain", "prototypes", "data", "recipes")
"""Commands that one process runs, however many were started together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Arguments without the program's name; None for those of the process.

    Returns:
        The exit code: 0; 2 after one line about what the user can fix; 143 or 130 after one line
        about what a stop by SIGTERM or SIGINT keeps.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    use_plain_text()
    try:
        with stoppable(), short_warnings():
            return _run(arguments)
    except Stopped as stop:
        return 128 + stop.number
    except BrokenPipeError:
        # Nobody reads on, as in `protoxai recipes | head`; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        # Anything else is a bug, whose traceback is of use.
        line = explained(error)
        if line is None:
            raise
        print(f"protoxai: {line}", file=sys.stderr)
        return 2


@contextmanager
def short_warnings() -> Iterator[None]:
    """Print warnings of the library in one line, without the place in its code."""
    usual = warnings.formatwarning

    def formatted(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if is_own_file(filename):
            return f"warning: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    require("train", "jsonargparse", "yaml")
    from jsonargparse import ArgumentError

    from protoxai.training.recipes.command_line import join_key_changes

    parser, parsers = build_parser()
    try:
        options = parser.parse_args(join_key_changes(arguments))
    except ArgumentError as error:
        raise ValueError(_explain(str(error), arguments, parsers)) from None
    if options.command is None:
        parser.print_help()
        return 2
    name: str = options.command
    if name in NOT_SHARED and not is_first_process(f"protoxai {name}"):
        return 0
    code: int = COMMANDS[name].run(options[name], parsers[name])
    return code


def build_parser() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser of the program, and the parser of each command."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="protoxai",
        description="Segmentation models whose every pixel decision can be read.",
        version=__version__,
        exit_on_error=False,
        allow_abbrev=False,
    )
    commands = parser.add_subcommands(dest="command", required=False)
    parsers = {}
    for name, command in COMMANDS.items():
        own = ArgumentParser(description=command.DESCRIPTION, allow_abbrev=False)
        command.add_options(own)
        commands.add_subcommand(name, own, help=command.HELP)
        own.prog = f"protoxai {name}"
        parsers[name] = own
    return parser, parsers


def _explain(message: str, arguments: Sequence[str], parsers: dict[str, ArgumentParser]) -> str:
    """Return one line about what does not fit on the command line."""
    from protoxai.training.recipes.command_line import explain_argument

    unknown = re.search(r"argument command: invalid choice: '(.*?)'", message)
    if unknown is not None:
        return (
            f"there is no command {unknown[1]}{did_you_mean(unknown[1], parsers)}; expected one of "
            f"{', '.join(parsers)}"
        )
    name = next((word for word in arguments if word in parsers), None)
    if name is None:
        return explain_argument(message, ["--help", "--version", *parsers], {})
    options = re.findall(r"--[\w.]+", parsers[name].format_usage())
    message = message.replace(f" {name}.", " ")
    return explain_argument(message, ["--help", *options], COMMANDS[name].recipe_keys())


if __name__ == "__main__":
    sys.exit(main())
