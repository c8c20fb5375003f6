import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

from protoxai.data.label_images import read_labels
from protoxai.images import (
    count_pages,
    normalise,
    read_image,
    read_oriented,
    unit_range,
    upright,
)
from tests.data.trees import save_raw_png, save_stack, save_tagged

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")


@pytest.fixture
def stack(tmp_path):
    save_stack(tmp_path / "a.tif", [np.full((2, 3), 10 * k, dtype=np.uint8) for k in range(4)])
    return tmp_path / "a.tif"


def test_pages(stack, tmp_path):
    assert count_pages(stack) == 4
    assert read_image(stack, 2).unique().tolist() == [20]
    assert read_labels(stack, 3).unique().tolist() == [30]
    with pytest.raises(ValueError, match=r"a\.tif cannot be read"):
        read_image(stack, 4)
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert count_pages(tmp_path / "a.png") == 1
    with pytest.raises(ValueError, match=r"b\.png cannot be read"):
        count_pages(tmp_path / "b.png")


@pytest.mark.parametrize("read", [read_image, read_labels])
def test_further_pages_are_never_dropped_but_previews_are(stack, tmp_path, read):
    with pytest.raises(ValueError, match=r"a\.tif holds 4 images, expected one"):
        read(stack)
    half = Image.new("L", (2, 1), 9)
    half.encoderinfo = {"tiffinfo": {254: 1}}
    Image.new("L", (4, 2), 7).save(tmp_path / "b.tif", save_all=True, append_images=[half])
    assert count_pages(tmp_path / "b.tif") == 2
    assert read(tmp_path / "b.tif").unique().tolist() == [7]


def test_every_mode_is_read_as_rgb(tmp_path):
    Image.new("L", (3, 2), color=7).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[7] * 3] * 2] * 3
    Image.new("RGB", (1, 1), color=(1, 2, 3)).convert("RGBA").save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").flatten().tolist() == [1, 2, 3]
    save_raw_png(tmp_path / "two_bits.png", np.array([[0, 1, 2, 3]]), 2)
    assert read_image(tmp_path / "two_bits.png")[0].tolist() == [[0, 85, 170, 255]]


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2), (2, 2, 3), (2, 2, 4)])
def test_more_than_eight_bits_are_an_error(tmp_path, shape):
    save_raw_png(tmp_path / "deep.png", np.full(shape, 1000), 16)
    with pytest.raises(ValueError, match=r"deep\.png: image mode .* more than 8.* scale it to 8"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_tiff_is_an_error(tmp_path, dtype):
    Image.fromarray(np.ones((2, 2), dtype=dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match=r"deep\.tif: .* more than 8 bits per channel"):
        read_image(tmp_path / "deep.tif")


def test_transparent_pixels_are_an_error(tmp_path):
    half = Image.new("RGBA", (2, 1), (1, 2, 3, 255))
    half.putpixel((0, 0), (1, 2, 3, 254))
    half.save(tmp_path / "rgba.png")
    half.convert("LA").save(tmp_path / "grey.tif")
    Image.new("P", (2, 1)).save(tmp_path / "palette.png", transparency=0)
    Image.new("RGB", (2, 1)).save(tmp_path / "colour.png", transparency=(0, 0, 0))
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=rf"{path.name} has transparent pixels.* background"):
            read_image(path)
    Image.new("P", (2, 1), 1).save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png").shape == (3, 1, 2)


def test_further_channels_are_an_error(tmp_path):
    Image.new("RGBX", (2, 1)).save(tmp_path / "infrared.tif")
    with pytest.raises(ValueError, match=r"infrared\.tif has 4 channels, of which RGB would be"):
        read_image(tmp_path / "infrared.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_and_applied_as_in_a_viewer(tmp_path, suffix, orientation):
    corners = np.kron([[10, 90, 170], [50, 130, 210]], np.ones((16, 16))).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    save_tagged(path, np.stack([corners] * 3, -1), orientation)
    image, found = read_oriented(path)
    assert (image.shape, found) == ((3, 32, 48), orientation)
    assert torch.equal(read_image(path), image)
    assert (image[0].long() - torch.from_numpy(corners)).abs().max() < 9
    with Image.open(path) as viewer:
        shown = np.array(ImageOps.exif_transpose(viewer).convert("RGB"))
    assert np.array_equal(upright(image, found).permute(1, 2, 0), shown)


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_orientation_that_does_not_exist_is_none(tmp_path, tag):
    save_tagged(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8), tag)
    assert read_oriented(tmp_path / "a.png")[1] == 1


def test_damaged_metadata_leave_the_pixels_as_they_are(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png", exif=b"Exif\0\0no TIFF header")
    image, orientation = read_oriented(tmp_path / "a.png")
    assert (image.shape, orientation) == ((3, 2, 3), 1)


@pytest.mark.parametrize("read", [read_image, read_labels, count_pages])
def test_only_regular_files_are_opened(tmp_path, monkeypatch, read):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)  # the name of a socket may have 107 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        (tmp_path / "device.png").symlink_to("/dev/zero")
        (tmp_path / "loop.png").symlink_to("loop.png")
        for name, kind in {
            "pipe.png": "is a named pipe",
            "folder.png": "is a folder",
            "socket.png": "is a socket",
            "device.png": "is a device",
            "loop.png": "cannot be read",
            "none.png": "cannot be read",
        }.items():
            with pytest.raises(ValueError, match=rf"{name} {kind}"):
                read(tmp_path / name)


@pytest.mark.parametrize("read", [read_image, read_labels])
def test_empty_file_and_too_many_pixels(tmp_path, monkeypatch, read):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"a\.png is empty"):
        read(tmp_path / "a.png")
    Image.new("1", (40, 40)).save(tmp_path / "a.png")
    for most in (700, 1200):  # Pillow's error above twice the limit, and its warning above it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(
            ValueError, match=r"a\.png is larger than .*raise PIL\.Image\.MAX_IMAGE_PIXELS"
        ):
            read(tmp_path / "a.png")


def encoded(name: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 13), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name)
    return file.getvalue()


ENCODED = {name: encoded(name) for name in FORMATS}


@st.composite
def damaged(draw: st.DrawFn, formats: tuple[str, ...] = FORMATS) -> bytes:
    """A valid file in which some bytes are changed, removed or inserted."""
    content = bytearray(ENCODED[draw(st.sampled_from(formats))])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        # Headers are short, and their damages the most various.
        start = start % 64 if draw(st.booleans()) else start
        content[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


def holds_pixels_or_names_the_file(folder: Path, content: bytes) -> None:
    path = folder / "a.png"
    path.write_bytes(content)
    for read in (read_image, read_labels, count_pages):
        try:
            found = read(path)
        except ValueError as error:
            message = str(error)
        else:
            message = f"{path}"
            assert found >= 1 if read is count_pages else found.numel() > 0
        assert message.startswith(f"{path}")
        assert "\n" not in message


FILES = st.one_of(damaged(), st.binary(max_size=200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.filterwarnings("ignore")  # of damages that Pillow reads over
@settings(max_examples=250)
@given(content=FILES)
@example(content=b"%!PS-Adobe-3.0 EPSF-3.0\n")
def test_any_file_is_read_or_named(folder, content):
    holds_pixels_or_names_the_file(folder, content)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=10_000)
@given(content=FILES)
def test_any_file_is_read_or_named_at_length(folder, content):
    holds_pixels_or_names_the_file(folder, content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_truncated_files_are_refused(tmp_path, name):
    path, content = tmp_path / "a.png", ENCODED[name]
    path.write_bytes(content)
    pixels = read_image(path)
    for length in range(1, len(content) - 8, 5):
        path.write_bytes(content[:length])
        try:
            found = read_image(path)
        except ValueError:
            continue
        assert torch.equal(found, pixels)


def test_no_changed_bit_of_a_png_changes_its_pixels(tmp_path):
    path = tmp_path / "a.png"
    labels = np.random.default_rng(0).integers(0, 5, (40, 48), dtype=np.uint8)
    Image.fromarray(labels).save(path)
    content = path.read_bytes()
    for place in range(8 * len(content) - 8 * 60, 8 * len(content)):  # where a decoder stops early
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = read_labels(path)
        except ValueError:
            continue
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("read", [read_image, read_labels, count_pages])
@pytest.mark.parametrize("name", ["PPM", "TGA", "PCX"])
def test_formats_of_unknown_depth_are_refused(tmp_path, name, read):
    Image.new("L", (8, 8)).save(tmp_path / "a.png", name)
    with pytest.raises(ValueError, match=r"a\.png cannot be read as .*none of JPEG, PNG, BMP"):
        read(tmp_path / "a.png")


def test_normalising_is_that_of_torchvision():
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, 16, 16)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = F.normalize(F.to_dtype(image, torch.float32, scale=True), list(mean), list(std))
    assert torch.equal(normalise(image, mean, std), expected)
    unit = unit_range(image)
    assert (float(unit.min()), float(unit.max())) == (0, 1)
    assert torch.equal(normalise(unit, mean, std), expected)
    assert torch.equal(unit, unit_range(unit))


def test_range_of_other_types_is_unknown():
    with pytest.raises(TypeError, match=r"torch\.int32, expected uint8"):
        unit_range(torch.zeros(3, 2, 2, dtype=torch.int32))


def test_one_mean_and_deviation_per_channel():
    with pytest.raises(ValueError, match=r"mean is \[0.5\].*expected 3 finite numbers"):
        normalise(torch.zeros(3, 2, 2), [0.5], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"std is 0\.0, expected a number above 0"):
        normalise(torch.zeros(1, 2, 2), [0.5], [0.0])
