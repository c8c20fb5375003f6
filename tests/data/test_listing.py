import pytest

from protoxai.data.listing import read_list
from tests.data.trees import save_list


def test_lists(tmp_path):
    save_list(tmp_path / "a.txt", ["2007_000001  ", "", "/JPEGImages/b.jpg /Aug/b.png"])
    assert read_list(tmp_path / "a.txt") == ["2007_000001", "b"]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b\.txt cannot be read as a list"):
        read_list(tmp_path / "b.txt")
    with pytest.raises(ValueError, match=r"c\.txt cannot be read as a list"):
        read_list(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"d\.txt is empty"):
        read_list(tmp_path / "d.txt")
