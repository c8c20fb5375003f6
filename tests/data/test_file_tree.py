import re
from pathlib import Path

import pytest

from protoxai.data.file_tree import (
    Entry,
    Layout,
    LayoutError,
    complete_names,
    expanded,
    locate,
    official_split,
    require_files,
)

LAYOUT = Layout(
    "Owls (split 'val')",
    "owls.zip from owls.org",
    (
        Entry("photographs", ("img/val/*.jpg",)),
        Entry("labels", ("labels/val/*.png", "masks/val/*.png")),
    ),
)


def write(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def test_complete_by_either_pattern(tmp_path):
    write(tmp_path, "img/val/a.jpg", "masks/val/a.png")
    LAYOUT.check(tmp_path)


def test_error_shows_the_tree_what_is_there_and_where_to_get_the_rest(tmp_path):
    write(tmp_path, "img/val/a.jpg", "labels/train/a.png", "labels/notes.txt")
    with pytest.raises(LayoutError) as caught:
        LAYOUT.check(tmp_path)
    ends = "no val in labels, which contains notes.txt, train"
    assert str(caught.value).splitlines() == [
        f"Owls (split 'val') is not complete in {tmp_path}, expected there:",
        "  ✓ img/val/*.jpg  (photographs)",
        "  ✗ labels/val/*.png or masks/val/*.png  (labels): " + ends,
        "Nothing is downloaded: get owls.zip from owls.org, extract it there, or give another root",
    ]


def test_folder_without_the_files_and_no_folder_at_all(tmp_path):
    write(tmp_path, *(f"img/val/{k:02d}.gif" for k in range(10)))
    listing = ", ".join(f"{k:02d}.gif" for k in range(8))
    expected = rf"no \*\.jpg in img/val, which contains {listing} and 2 more"
    with pytest.raises(LayoutError, match=expected):
        LAYOUT.check(tmp_path)
    with pytest.raises(LayoutError, match="no labels in the root, which contains img"):
        LAYOUT.check(tmp_path)
    with pytest.raises(LayoutError, match="the folder does not exist"):
        LAYOUT.check(tmp_path / "elsewhere")


def test_layout_error_is_a_value_error():
    assert issubclass(LayoutError, ValueError)


def test_root_inside_of_what_was_given(tmp_path, monkeypatch):
    write(tmp_path, "kit/2012/img/a.jpg", "half/2012/notes.txt")
    assert locate(tmp_path, "2012", "kit/2012", marker="img") == tmp_path / "kit/2012"
    assert locate(tmp_path / "kit", "2012", marker="img") == tmp_path / "kit/2012"
    assert locate(tmp_path / "kit/2012", "2012", marker="img") == tmp_path / "kit/2012"
    assert locate(tmp_path / "half", "2012", marker="img") == tmp_path / "half/2012"
    assert locate(tmp_path / "none", "2012", marker="img") == tmp_path / "none"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/kit", "2012", marker="img") == tmp_path / "kit/2012"


def test_home_and_variables_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCANS", "~/scans")
    assert expanded("~/a") == tmp_path / "a"
    assert expanded("$SCANS/a") == expanded("${SCANS}/a") == tmp_path / "scans" / "a"
    assert expanded(tmp_path / "no such") == tmp_path / "no such"
    (tmp_path / "US$SCANS").mkdir()
    assert expanded(tmp_path / "US$SCANS") == tmp_path / "US$SCANS"


@pytest.mark.parametrize("root", ["$NO_SUCH/a", "${NO_SUCH}/a", Path("x/$NO_SUCH")])
def test_unknown_variables_are_named(root):
    with pytest.raises(ValueError, match=r"root is .*no environment variable NO_SUCH: set"):
        expanded(root)


def test_unknown_users_and_empty_roots():
    with pytest.raises(ValueError, match="root is ~no_such_user/a, but there is no such user"):
        expanded("~no_such_user/a")
    with pytest.raises(ValueError, match="root is empty"):
        expanded("")


def test_missing_files_are_counted_and_named(tmp_path):
    write(tmp_path, "x/a.jpg", "x/b.jpg")
    require_files("Owls", tmp_path, ["x/a.jpg", "x/b.jpg"])
    expected = re.escape(f"Owls: 2 of 3 files are missing in {tmp_path}: x/c.jpg, y/d.jpg. ")
    with pytest.raises(LayoutError, match=expected):
        require_files("Owls", tmp_path, ["x/a.jpg", "x/c.jpg", "y/d.jpg"])


def test_names_with_a_file_in_every_folder(tmp_path):
    write(tmp_path, "i/b/2.jpg", "i/a/1.jpg", "l/a/1.png", "l/b/2.png", "l/b/2_x.png", "i/a/.x.jpg")
    kinds = [(tmp_path / "i", ".jpg"), (tmp_path / "l", ".png")]
    keep = lambda name: "_" not in name  # noqa: E731
    assert complete_names("Owls", kinds, nested=True, keep=keep) == ["a/1", "b/2"]
    with pytest.raises(LayoutError, match=r"1 of 3 files are missing in .*i: b/2_x\.jpg"):
        complete_names("Owls", kinds, nested=True)


@pytest.mark.parametrize("gone", ["i/2.jpg", "l/2.png"])
def test_half_of_a_pair_is_missing(tmp_path, gone):
    write(tmp_path, "i/1.jpg", "i/2.jpg", "l/1.png", "l/2.png")
    (tmp_path / gone).unlink()
    kinds = [(tmp_path / "i", ".jpg"), (tmp_path / "l", ".png")]
    with pytest.raises(LayoutError, match=rf"1 of 2 .*{gone[0]}: {gone[2:]}"):
        complete_names("Owls", kinds)


def test_splits():
    assert official_split("Owls", "val", {"val": "night"}) == "night"
    with pytest.raises(ValueError, match="Owls has no split 'dusk', expected 'train' or 'val'"):
        official_split("Owls", "dusk", {"train": "day", "val": "night"})
