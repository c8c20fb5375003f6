"""Names in figures: what the fonts lack becomes a box, without a warning."""

import matplotlib as mpl
from hypothesis import given
from hypothesis import strategies as st

from protoxai.runtime.figure_text import drawable, shortened, text_width, wrapped


def test_what_the_font_has_stays() -> None:
    assert drawable("Straße $x_1$ ↑\n^2") == "Straße $x_1$ ↑\n^2"


def test_what_the_font_lacks_becomes_a_box() -> None:
    assert drawable("a道\tb\ud800") == "a□□b□"


def test_the_fonts_of_the_user_count() -> None:
    with mpl.rc_context({"font.family": ["STIXNonUnicode"]}):
        lacking = drawable("Я")
    with mpl.rc_context({"font.family": ["STIXNonUnicode", "DejaVu Sans"]}):
        assert (lacking, drawable("Я")) == ("?", "Я")


@given(st.text(max_size=60), st.floats(0.2, 3.0))
def test_cut_text_fits(text: str, width: float) -> None:
    line = shortened(text, width, 8)
    assert text_width(line, 8) <= width
    assert "\n" not in line


@given(st.text(alphabet="ab $_^{ ", max_size=80))
def test_wrapped_lines_fit_and_hold_all_words(text: str) -> None:
    lines = wrapped(text, 1.5, 8)
    assert all(text_width(line, 8) <= 1.5 for line in lines)
    if not any(line.endswith("…") for line in lines):
        assert " ".join(lines).split() == text.split()


def test_text_that_fits_stays() -> None:
    assert shortened("two words", 3, 8) == "two words"
    assert wrapped("", 3, 8) == []
