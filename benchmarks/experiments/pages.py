"""Parts of pages that commands write, between two comments."""

from __future__ import annotations

import re


def with_block(page: str, name: str, text: str) -> str:
    """Return a page whose block is replaced.

    Args:
        page: Page with one block, from ``<!-- NAME: ... -->`` to ``<!-- NAME: end -->``.
        name: Name of the block.
        text: Text of the block.

    Raises:
        ValueError: If the page has no such block, or several.
    """
    block = re.compile(rf"(<!-- {name}: (?!end)[^>]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    if len(block.findall(page)) != 1:
        raise ValueError(
            f"expected one block from `<!-- {name}: ... -->` to `<!-- {name}: end -->`"
        )
    return block.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)
