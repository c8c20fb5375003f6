"""The picture of a prototype's surroundings: its window, its boxes, its content."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from protoxai.prototypes import Patch, Provenance
from protoxai.prototypes.patches import check_patches, context_window, picture_size

CELLS = np.array([[0, 255], [51, 102]], dtype=np.uint8)


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    """An image whose red grows with the row, and whose green grows with the column."""
    rows, cols = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows * 255 // height, cols * 255 // width, 0 * rows]).astype(np.uint8)


def webp(height: int, width: int, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 100, 50)).save(file, "WEBP", **options)
    return file.getvalue()


# --- the window


def test_the_window_is_three_times_the_region() -> None:
    assert context_window((100, 200, 110, 230), size=(500, 500)) == (90, 170, 120, 260)
    assert context_window((0, 470, 10, 500), size=(300, 500)) == (0, 440, 20, 500)
    assert context_window((0, 0, 30, 40), size=(30, 40)) == (0, 0, 30, 40)


def test_a_small_window_is_shown_as_it_is() -> None:
    image = gradient(100, 120)
    patch = Patch.cut(image, (20, 30, 60, 110), CELLS)
    picture = patch.picture()
    assert (picture.shape, picture.dtype) == ((40, 80, 3), np.uint8)
    shown = image[:, 20:60, 30:110].transpose(1, 2, 0).astype(int)
    assert np.abs(shown - picture).mean() < 3


def test_a_large_window_is_made_smaller() -> None:
    patch = Patch.cut(gradient(1000, 600), (0, 0, 1000, 600), CELLS)
    assert patch.picture().shape == (192, 115, 3)
    assert len(patch.content) < 5000


def test_a_window_of_a_resized_image() -> None:
    # The image of a batch, at half the size of the labels.
    half = gradient(50, 60)
    patch = Patch.cut(half, (20, 30, 60, 110), CELLS, size=(100, 120))
    picture = patch.picture()
    assert picture.shape == (20, 40, 3)
    shown = half[:, 10:30, 15:55].transpose(1, 2, 0).astype(int)
    assert np.abs(shown - picture).mean() < 3


# --- what lies where


def test_boxes_in_pixels_of_the_picture() -> None:
    patch = Patch.cut(gradient(1000, 600), (100, 0, 484, 192), CELLS)  # at half the size
    assert patch.picture().shape == (192, 96, 3)
    assert patch.within((120, 40, 180, 60)) == (10, 20, 40, 30)
    assert patch.within((121, 41, 181, 61)) == (10, 20, 41, 31)
    assert patch.within((0, 0, 1000, 600)) == (0, 0, 192, 96)


@given(st.data())
def test_a_box_inside_is_never_empty(data: st.DataObject) -> None:
    def ends(first: int, last: int) -> tuple[int, int]:
        start = data.draw(st.integers(first, last - 1))
        return start, data.draw(st.integers(start + 1, last))

    (top, bottom), (left, right) = ends(0, 900), ends(0, 500)
    patch = Patch(webp(*data.draw(st.tuples(*[st.integers(1, 192)] * 2))), (0, 0, 1, 1), CELLS)
    patch = Patch(patch.content, (top, left, bottom, right), CELLS)
    (t, b), (x, y) = ends(top, bottom), ends(left, right)
    height, width = picture_size(patch.content)
    inner = patch.within((t, x, b, y))
    assert 0 <= inner[0] < inner[2] <= height
    assert 0 <= inner[1] < inner[3] <= width


def test_the_activation_covers_the_picture() -> None:
    patch = Patch(webp(4, 6), (0, 0, 4, 6), CELLS)
    expected = np.repeat(np.repeat(CELLS / 255, 2, axis=0), 3, axis=1)
    activation = patch.activation_map()
    assert activation.dtype == np.float32
    np.testing.assert_allclose(activation, expected, rtol=1e-6)


def test_patches_compare_by_content() -> None:
    patch = Patch(webp(4, 6), (0, 0, 4, 6), CELLS)
    assert patch == Patch(webp(4, 6), (0, 0, 4, 6), CELLS.copy())
    assert hash(patch) == hash(Patch(webp(4, 6), (0, 0, 4, 6), CELLS.copy()))
    for other in (
        Patch(webp(4, 5), (0, 0, 4, 6), CELLS),
        Patch(webp(4, 6), (0, 0, 4, 7), CELLS),
        Patch(webp(4, 6), (0, 0, 4, 6), CELLS + 1),
        None,
    ):
        assert patch != other


# --- hostile and damaged pictures


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 6)).save(file, "PNG")
    return file.getvalue()


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (4, 6), (n, n, n)) for n in (0, 200)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the picture of a patch is 0 bytes that begin with b'', expected a plain lossy WebP"),
        (png(), r"bytes that begin with b'\\x89PNG"),
        (webp(4, 6, lossless=True), "expected a plain lossy WebP"),
        (webp(4, 6, exif=b"Exif\0\0MM"), "expected a plain lossy WebP"),
        (animated(), "expected a plain lossy WebP"),
        (webp(4, 193), "is 193x4 pixels, expected at most 192 in height and width"),
        (webp(5000, 4), "is 4x5000 pixels, expected at most 192"),
        (webp(4, 6) + bytes(2**18), "bytes that begin with .*expected a plain lossy WebP of"),
    ],
)
def test_pictures_of_another_kind_are_refused_without_decoding(
    content: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Patch(content, (0, 0, 4, 6), CELLS)


def test_a_picture_that_is_cut_off_is_an_error_on_access() -> None:
    patch = Patch(webp(40, 60)[:40], (0, 0, 40, 60), CELLS)
    with pytest.raises(ValueError, match="the picture of the patch is damaged"):
        patch.picture()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"content": "picture"}, TypeError, "content is 'picture'"),
        ({"window": (0, 0, 0, 4)}, ValueError, "expected top < bottom and left < right"),
        ({"window": (0, 0, 4)}, ValueError, "expected 4 whole numbers"),
        ({"window": (-1, 0, 4, 4)}, ValueError, "window is -1"),
        ({"activation": np.zeros(4, dtype=np.uint8)}, ValueError, r"activation has shape \(4,\)"),
        (
            {"activation": np.zeros((25, 4), dtype=np.uint8)},
            ValueError,
            r"activation has shape \(25, 4\)",
        ),
        (
            {"activation": np.zeros((0, 4), dtype=np.uint8)},
            ValueError,
            r"activation has shape \(0, 4\)",
        ),
        ({"activation": np.full((2, 2), 0.5)}, TypeError, "activation is .*expected uint8"),
    ],
)
def test_values_of_another_kind(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    values = {"content": webp(4, 6), "window": (0, 0, 4, 6), "activation": CELLS, **changed}
    with pytest.raises(error, match=message):
        Patch(**values)


# --- patches and provenance


def entry(**changed: Any) -> Provenance:
    values = {
        "projected": True,
        "image_index": 0,
        "image_id": "a",
        "row": 0,
        "col": 0,
        "grid": (2, 2),
        "distance": 0.0,
        "patch": (1, 1, 3, 3),
        "active_region": (1, 1, 4, 4),
        **changed,
    }
    return Provenance(**values)


def test_patches_that_do_not_fit_the_provenance() -> None:
    patch = Patch(webp(4, 6), (0, 0, 4, 6), CELLS)
    assert check_patches(None, None) is None
    assert check_patches([patch, None], [entry(), entry()]) == (patch, None)
    with pytest.raises(ValueError, match="got 1 for 2 prototypes with a provenance"):
        check_patches([patch], [entry(), entry()])
    with pytest.raises(ValueError, match="got 1 for no prototypes with a provenance"):
        check_patches([patch], None)
    with pytest.raises(ValueError, match=r"patch of prototype 1: .* does not contain the box"):
        check_patches([patch, patch], [entry(), entry(active_region=(1, 1, 5, 4))])
    with pytest.raises(ValueError, match=r"does not contain the box \(1, 1, 3, 9\)"):
        check_patches([patch], [entry(patch=(1, 1, 3, 9))])
    with pytest.raises(ValueError, match="does not contain the box None"):
        check_patches([patch], [Provenance(projected=False)])
    with pytest.raises(TypeError, match="patches is 'picture'"):
        check_patches(["picture"], [entry()])  # type: ignore[list-item]
