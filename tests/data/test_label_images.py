import struct

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data.label_images import check_stored, grey_image, indexed_image, read_labels
from tests.data.trees import save_grey, save_raw_png, save_tagged


@pytest.mark.parametrize(
    ("suffix", "dtype", "largest"),
    [("png", np.uint8, 255), ("png", np.uint16, 65535), ("tif", np.int32, 9_999_999)],
)
def test_widths_of_labels(tmp_path, suffix, dtype, largest):
    save_grey(tmp_path / f"a.{suffix}", np.array([[0, largest]], dtype=dtype))
    assert read_labels(tmp_path / f"a.{suffix}").tolist() == [[0, largest]]


def test_what_is_written_is_read_again(tmp_path):
    codes = torch.tensor([[0, 1, 255]])
    indexed_image(codes, [(0, 0, 0), (9, 8, 7)]).save(tmp_path / "a.png")
    assert torch.equal(read_labels(tmp_path / "a.png").long(), codes)
    grey_image(codes * 257, bits=16).save(tmp_path / "b.png")
    assert torch.equal(read_labels(tmp_path / "b.png").long(), codes * 257)


def test_colours_are_no_labels(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: got a label image of mode RGB, expected one"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_bits_are_returned_as_stored(tmp_path, bits, palette):
    if palette and bits == 16:
        pytest.skip("a palette has at most 256 colours")
    stored = np.random.default_rng(bits).integers(0, 2**bits, (7, 9))
    save_raw_png(tmp_path / "a.png", stored, bits, palette=palette)
    assert np.array_equal(read_labels(tmp_path / "a.png"), stored)


@pytest.mark.parametrize("bits", [2, 4])
def test_bits_of_tiff_are_returned_as_stored(tmp_path, bits):
    stored = np.arange(2**bits)[None]
    rows = np.packbits((stored[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8))
    width, offset = stored.shape[1], 8 + 2 + 9 * 12 + 4
    fields = {256: width, 257: 1, 258: bits, 259: 1, 262: 1, 273: offset, 277: 1, 278: 1, 279: 99}
    fields[279] = len(rows)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(header + rows.tobytes())
    assert np.array_equal(read_labels(tmp_path / "a.tif"), stored)


def test_lossy_files_are_no_labels_whatever_their_name(tmp_path):
    image = Image.new("L", (16, 16), 3)
    for name, options in {"JPEG": {}, "WEBP": {}, "TIFF": {"compression": "jpeg"}}.items():
        image.save(tmp_path / "a.png", name, **options)
        with pytest.raises(ValueError, match=rf"a\.png is a label map stored as {name}, expected"):
            read_labels(tmp_path / "a.png")


def test_white_as_zero_is_no_label(tmp_path):
    image = Image.new("1", (16, 16), 1)
    image.save(tmp_path / "a.tif", tiffinfo={262: 0})
    with pytest.raises(ValueError, match=r"a\.tif: got a label image in which 0 is white"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_orientation_of_labels_is_applied_only_on_request(tmp_path, suffix):
    stored = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    save_tagged(tmp_path / f"a.{suffix}", stored, 6)
    path = tmp_path / f"a.{suffix}"
    assert np.array_equal(read_labels(path), stored)
    assert read_labels(path, exif="apply").tolist() == [[4, 1], [5, 2], [6, 3]]
    with pytest.raises(ValueError, match=r"EXIF orientation 6: save it without, or give exif="):
        read_labels(path, exif=None)


def test_values_that_a_data_set_does_not_have():
    stored = torch.tensor([[0, 7, 300]])
    check_stored(stored, stored < 301, "0 to 300")
    with pytest.raises(ValueError, match=r"values \[7, 300\], expected 0 to 6"):
        check_stored(stored, stored < 7, "0 to 6")
