"""Texts in tables."""

import re

import pytest

from protoxai.runtime.text_tables import latex_table, markdown_text


@pytest.mark.parametrize(
    "name", ["_x_", "__init__", "<b>x", "`y`", "a\\|b", "~~q~~", "*z*", "a_b_c", "<lambda>", "</b>"]
)
def test_markdown_shows_names_as_they_are(name: str) -> None:
    escaped = markdown_text(name)
    # In Markdown a backslash before punctuation is not shown.
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped) == name
    left = re.sub(r"\\[!-/:-@\[-`{-~]", "", escaped)
    assert not re.search(r"[`*|~]|<\w|</|\b_|_\b", left)


@pytest.mark.parametrize("start", ["[0.1, 0.2]", "*best"])
def test_a_latex_line_is_no_argument_of_the_line_before(start: str) -> None:
    lines = latex_table([["name"], [start]], "l").splitlines()
    assert lines[4] == rf"{{}}{start} \\"
