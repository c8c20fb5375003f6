"""What can stop a run."""

from __future__ import annotations


class RunError(ValueError):
    """A run that cannot go on: where it stopped, why, and how to mend it."""
