import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from protoxai.data.files import count_pages, read_image, read_labels, read_list, read_mat
from tests.data.trees import save_grey, save_list, save_stack


@pytest.fixture
def stack(tmp_path):
    save_stack(tmp_path / "a.tif", [np.full((2, 3), 10 * k, dtype=np.uint8) for k in range(4)])
    return tmp_path / "a.tif"


def test_pages(stack, tmp_path):
    assert count_pages(stack) == 4
    assert read_image(stack, 2).unique().tolist() == [20]
    assert read_labels(stack, 3).unique().tolist() == [30]
    assert read_labels(stack).unique().tolist() == [0]
    with pytest.raises(ValueError, match=r"a\.tif cannot be read"):
        read_image(stack, 4)
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert count_pages(tmp_path / "a.png") == 1


@pytest.mark.parametrize(
    ("suffix", "dtype", "largest"),
    [("png", np.uint8, 255), ("png", np.uint16, 65535), ("tif", np.int32, 9_999_999)],
)
def test_widths_of_labels(tmp_path, suffix, dtype, largest):
    save_grey(tmp_path / f"a.{suffix}", np.array([[0, largest]], dtype=dtype))
    assert read_labels(tmp_path / f"a.{suffix}").tolist() == [[0, largest]]


def test_lists(tmp_path):
    save_list(tmp_path / "a.txt", ["2007_000001  ", "", "/JPEGImages/b.jpg /Aug/b.png"])
    assert read_list(tmp_path / "a.txt") == ["2007_000001", "b"]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b\.txt cannot be read as a list"):
        read_list(tmp_path / "b.txt")
    with pytest.raises(ValueError, match=r"c\.txt cannot be read as a list"):
        read_list(tmp_path / "c.txt")


def test_variable_of_a_matlab_file(tmp_path):
    savemat(tmp_path / "a.mat", {"anno": {"name": "x", "sizes": [1, 2]}})
    content = read_mat(tmp_path / "a.mat", "anno")
    assert (content["name"], content["sizes"].tolist()) == ("x", [1, 2])
    with pytest.raises(ValueError, match=r"b\.mat cannot be read"):
        read_mat(tmp_path / "b.mat", "anno")
