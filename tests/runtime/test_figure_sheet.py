"""Sheets are laid out in inches, and saved with text as text."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from protoxai.runtime.figure_sheet import MARGIN, Sheet


def saved(sheet: Sheet, kind: str) -> bytes:
    file = io.BytesIO()
    sheet.finish(2.0).savefig(file, format=kind)
    return file.getvalue()


def test_pictures_keep_their_shape_within_their_cell() -> None:
    sheet = Sheet(4.0)
    _, left = sheet.picture(np.zeros((10, 40, 3)), (0.5, 0.25, 1.0, 1.0))
    _, right = sheet.picture(np.zeros((40, 10, 3)), (2.0, 0.25, 1.0, 1.0), "right")
    assert left == (0.5, 0.25, 1.0, 0.25)
    assert right == (2.75, 0.25, 0.25, 1.0)
    figure = sheet.finish(2.0)
    places = [axes.get_position().bounds for axes in figure.axes]
    expected = [(0.5 + MARGIN) / 4, (2 - 0.5) / 2, 1 / 4, 0.25 / 2]
    assert places[0] == pytest.approx(tuple(expected))
    assert tuple(figure.get_size_inches()) == (4.0, 2.0)


def test_text_stands_where_it_is_put() -> None:
    sheet = Sheet(4.0)
    below = sheet.text(1.0, 0.5, "Name", size=10)
    figure = sheet.finish(2.0)
    box = figure.texts[0].get_window_extent()
    assert box.x0 / figure.dpi == pytest.approx(1 + MARGIN, abs=0.02)
    assert 2 - below - 0.02 < box.y0 / figure.dpi < box.y1 / figure.dpi < 2 - 0.5 + 0.02


def test_vector_files_hold_text() -> None:
    sheet = Sheet(4.0)
    sheet.text(0, 0, "$x_{ <b> & plain words")
    svg = saved(sheet, "svg").decode()
    assert "$x_{ &lt;b&gt; &amp; plain words" in svg
    assert b"/Type3" not in saved(sheet, "pdf")
    # The user's own settings are left as they are.
    assert mpl.rcParams["svg.fonttype"] == "path"


def test_pictures_have_300_pixels_per_inch_unless_that_is_too_many() -> None:
    assert imread(io.BytesIO(saved(Sheet(4.0), "png"))).shape[:2] == (600, 1200)
    sheet = Sheet(1.0)
    file = io.BytesIO()
    sheet.finish(400.0).savefig(file, format="png")
    file.seek(0)
    assert 60_000 < imread(file).shape[0] <= 65_535


def test_too_long_text_is_cut_and_paragraphs_are_broken() -> None:
    sheet = Sheet(2.0)
    sheet.text(0.5, 0, "word " * 50)
    end = sheet.paragraph(0, 0.3, "some words of a sentence " * 5, 1.8)
    figure = sheet.finish(end)
    assert figure.texts[0].get_text().endswith("…")
    assert len(figure.texts) > 3
    edges = [text.get_window_extent().x1 / figure.dpi for text in figure.texts]
    assert max(edges) <= 2.0
