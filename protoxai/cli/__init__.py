"""The command line, one file per command."""

from protoxai.cli.main import main

__all__ = ["main"]
