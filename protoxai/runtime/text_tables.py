"""Tables of texts, for a terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

GAP = "  "
ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
}
SPECIAL = re.compile(r"[\\`*|~]|_(?![^\W_])|(?<![^\W_])_|<(?=[\w/!?])")
"""Characters that Markdown does not show: those of code and emphasis, and the start of a tag."""
Lines = Sequence[Sequence[str]]
"""Lines of a table, the first of which is its header, all of one length."""


def text_table(lines: Lines) -> str:
    """Return a table for a terminal, without a line's end at its end.

    Example:
        >>> print(text_table([["model", "mIoU"], ["DeepLabv2", "62.0"]]))
        model      mIoU
        DeepLabv2  62.0
    """
    columns = [padded(column) for column in zip(*lines, strict=True)]
    return "\n".join(GAP.join(line).rstrip() for line in zip(*columns, strict=True))


def markdown_table(lines: Lines) -> str:
    """Return a table in Markdown.

    Args:
        lines: Lines of the table, as Markdown: see :func:`markdown_text`.

    Example:
        >>> print(markdown_table([["model"], ["DeepLabv2"]]), end="")
        | model |
        | --- |
        | DeepLabv2 |
    """
    header, *rows = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * len(header), *rows])


def latex_table(lines: Lines, alignment: str) -> str:
    """Return a table in LaTeX, for the package booktabs.

    Args:
        lines: Lines of the table, as LaTeX: see :func:`latex_text`.
        alignment: Alignment of the columns, such as "lcc".
    """
    head, *body = (_not_optional(" & ".join(line)) + r" \\" for line in lines)
    rules = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*rules, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _not_optional(line: str) -> str:
    """Keep LaTeX from reading the start of a line as an argument of the line's end before it."""
    return "{}" + line if line.startswith(("[", "*")) else line


def latex_text(text: str) -> str:
    r"""Return a text as LaTeX shows it.

    Example:
        >>> print(latex_text("50 % ± 1"))
        50 \% $\pm$ 1
    """
    return "".join(ESCAPED.get(character, character) for character in " ".join(text.split()))


def markdown_text(text: str) -> str:
    r"""Return a text as a cell of a Markdown table shows it.

    Example:
        >>> print(markdown_text("a|b * c"))
        a\|b \* c
        >>> print(markdown_text("relevance_mass of _x_ < <b>"))
        relevance_mass of \_x\_ < \<b>
    """
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def padded(texts: Sequence[str]) -> list[str]:
    """Return the texts of a column, filled up to the width of the longest."""
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]
