import numpy as np
import pytest
import torch
from PIL import Image

from protoxai.data.label_images import grey_image, indexed_image, read_labels
from tests.data.trees import save_grey


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
