import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from protoxai.explanations.report.encoding import (
    LONG_SIDE,
    encode_array,
    encode_maps,
    encode_overlay,
    encode_picture,
    encode_runs,
)


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text)


def runs_of(text: str) -> np.ndarray:
    runs = np.frombuffer(bytes_of(text), "<u2").reshape(-1, 2)
    return np.repeat(runs[:, 0], runs[:, 1])


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                     elements=st.integers(0, 65535)))  # fmt: skip
def test_runs_give_the_values_back(values: np.ndarray) -> None:
    assert runs_of(encode_runs(values)).tolist() == values.flatten().tolist()


@pytest.mark.parametrize("length", [65534, 65535, 65536, 131070, 131071])
def test_a_run_may_be_longer_than_16_bits_count(length: int) -> None:
    values = np.full((1, length + 1), 7)
    values[0, -1] = 8
    assert runs_of(encode_runs(values)).tolist() == values[0].tolist()


def test_runs_are_small_for_large_areas() -> None:
    labels = np.zeros((360, 480), int)
    labels[180:] = 1
    assert len(encode_runs(labels)) <= 40


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_maps_are_right_to_half_a_step(bits: int) -> None:
    maps = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32) * 3
    encoded, decoded = encode_maps(maps, bits)
    steps = np.frombuffer(bytes_of(encoded.values), f"<u{bits // 8}")
    low, step = np.array(encoded.low)[:, None], np.array(encoded.step)[:, None]
    read = (low + step * steps.reshape(5, -1)).reshape(5, 4, 3)
    assert np.array_equal(read, decoded)
    spread = np.ptp(maps.reshape(5, -1).astype(float), axis=1)
    assert np.allclose(encoded.step, spread / (2**bits - 1), rtol=1e-12)
    error = np.abs(decoded - maps).reshape(5, -1).max(1)
    assert (error <= spread / (2**bits - 1) / 2 * 1.0001).all()
    assert (error > 0).any()
    assert (encoded.rows, encoded.columns, encoded.bits) == (4, 3, bits)


def test_a_constant_map_is_exact() -> None:
    maps = np.full((1, 2, 2), 1.25, np.float32)
    _, decoded = encode_maps(maps, 8)
    assert np.array_equal(decoded, maps)


def test_a_picture_keeps_its_proportions_and_is_not_too_large() -> None:
    uri = encode_picture(np.zeros((1000, 2000, 3), np.uint8))
    head, _, content = uri.partition(",")
    assert head == "data:image/webp;base64"
    assert Image.open(io.BytesIO(bytes_of(content))).size == (LONG_SIDE, LONG_SIDE // 2)


def test_an_overlay_averages_its_pixels() -> None:
    activation = np.zeros((48, 30), np.float32)
    activation[:2, :] = [1, 0.5] * 15
    overlay = encode_overlay(activation)
    values = np.frombuffer(bytes_of(overlay.values), "u1").reshape(overlay.rows, overlay.columns)
    assert values.shape == (24, 24)
    assert set(np.unique(values[1:])) == {0}
    assert np.allclose(values[0].mean(), 0.75 * 255, atol=1)


def test_arrays_are_little_endian() -> None:
    assert bytes_of(encode_array(np.array([1.0]), "<f4")) == b"\x00\x00\x80\x3f"
