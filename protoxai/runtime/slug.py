"""File names from names that users give."""

from __future__ import annotations

import re

LONGEST = 60


def slug(name: str) -> str:
    """Return a name as a part of a file's name: letters, digits, ``.``, ``_`` and ``-`` only.

    Args:
        name: Any text.

    Returns:
        At most 60 characters, neither the first nor the last a dot or dash; empty if the name has
        no letter or digit.

    Example:
        >>> slug("joint training"), slug("../../etc/passwd")
        ('joint-training', 'etc-passwd')
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-._")[:LONGEST].rstrip("-._")
