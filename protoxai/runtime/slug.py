"""File names from names that users give."""

from __future__ import annotations

import re
import sys

from protoxai.runtime.console import plain

LONGEST = 60


def slug(name: str) -> str:
    """Return a name as a part of a file's name: letters, digits, ``.``, ``_`` and ``-`` only.

    Letters that the file system cannot encode become similar ones.

    Args:
        name: Any text.

    Returns:
        At most 60 characters, neither the first nor the last a dot or dash; empty if the name has
        no letter or digit.

    Example:
        >>> slug("joint training"), slug("../../etc/passwd")
        ('joint-training', 'etc-passwd')
    """
    name = plain(name, sys.getfilesystemencoding())
    return re.sub(r"[^\w.-]+", "-", name).strip("-._")[:LONGEST].rstrip("-._")
