"""Names in figures: what the fonts lack becomes a box, without a warning."""

import matplotlib as mpl

from protoxai.runtime.figure_text import drawable


def test_what_the_font_has_stays() -> None:
    assert drawable("Straße $x_1$ ↑\n^2") == "Straße $x_1$ ↑\n^2"


def test_what_the_font_lacks_becomes_a_box() -> None:
    assert drawable("a道\tb\ud800") == "a□□b□"


def test_the_fonts_of_the_user_count() -> None:
    with mpl.rc_context({"font.family": ["STIXNonUnicode"]}):
        lacking = drawable("Я")
    with mpl.rc_context({"font.family": ["STIXNonUnicode", "DejaVu Sans"]}):
        assert (lacking, drawable("Я")) == ("?", "Я")
