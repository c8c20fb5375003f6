import os
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protoxai.data.listing import read_lines, read_list
from protoxai.images import IMAGE_SUFFIXES
from protoxai.runtime.names import check_distinct
from tests.data.trees import save_list


def test_lists(tmp_path):
    save_list(tmp_path / "a.txt", ["2007_000001  ", "", "/JPEGImages/b.jpg /Aug/b.png"])
    assert read_list(tmp_path / "a.txt") == ["2007_000001", "b"]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b\.txt is not UTF-8"):
        read_list(tmp_path / "b.txt")
    with pytest.raises(ValueError, match=r"c\.txt cannot be read"):
        read_list(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"d\.txt is empty"):
        read_list(tmp_path / "d.txt")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a.1", "a.1"),
        ("scan 12.03.2020 left", "scan 12.03.2020 left"),
        ("# 3", "# 3"),
        ("a.1.jpg", "a.1"),
        ("my scans/a 1.PNG", "a 1"),
        ("img/a 1.jpg\tlabels/a 1.png", "a 1"),
        ("img/v1.tiff labels/v1.png", "v1"),
        ("/img/a.jpg.b.jpg /labels/a.png", "a.jpg.b"),
    ],
)
def test_names_keep_their_dots_and_spaces(tmp_path, line, name):
    save_list(tmp_path / "a.txt", ["first", line])
    assert read_list(tmp_path / "a.txt") == ["first", name]


@pytest.mark.parametrize("content", ["a\r\nb é\r\n", "\ufeffa\nb é", "a\rb é\r", "\n a \n\nb é"])
def test_line_ends_and_byte_order_mark(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert read_lines(tmp_path / "a.txt") == ["a", "b é"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_named(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("forêt\nroute\n".encode(encoding))
    with pytest.raises(ValueError, match=r"a\.txt .*save it as UTF-8"):
        read_lines(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes("sky\nroad\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"a\.txt holds the character 0.*save it as UTF-8"):
        read_lines(tmp_path / "a.txt")


def test_names_that_occur_twice(tmp_path):
    save_list(tmp_path / "a.txt", ["a", "b", "", "a"])
    with pytest.raises(ValueError, match=r"a\.txt has 'a' twice, as names 1 and 3"):
        read_list(tmp_path / "a.txt")
    save_list(tmp_path / "a.txt", ["img/a.jpg", "more/a.jpg"])
    with pytest.raises(ValueError, match=r"a\.txt has 'a' twice, as names 1 and 2"):
        read_list(tmp_path / "a.txt")
    check_distinct("class_names", ["a", "A"])


def test_a_list_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"a\.txt is a named pipe"):
        read_list(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))} is a folder"):
        read_list(tmp_path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("lists") / "a.txt"


LIST_FILES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(str.encode),
    st.lists(st.sampled_from(["a", "b.1", "c d.jpg", "/", "\ufeff", "\0", "#", " ", "é"])).map(
        lambda parts: "\n".join(parts).encode()
    ),
)


def has_distinct_names_or_names_the_file(path, content):
    path.write_bytes(content)
    try:
        names = read_list(path)
    except ValueError as error:
        message = str(error)
    else:
        message = str(path)
        assert names
        assert all(names)
        assert len(set(names)) == len(names)
    assert message.startswith(str(path))
    assert "\n" not in message


@settings(max_examples=500)
@given(content=LIST_FILES)
@example(content=b"a.jpg " * 2000)
def test_any_list_is_read_or_named(path, content):
    has_distinct_names_or_names_the_file(path, content)


@pytest.mark.nightly
@settings(max_examples=20_000)
@given(content=LIST_FILES)
def test_any_list_is_read_or_named_at_length(path, content):
    has_distinct_names_or_names_the_file(path, content)


def is_name(text):
    return text == text.strip() and not text.lower().endswith(IMAGE_SUFFIXES)


CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff")
NAMES = st.text(CHARACTERS, min_size=1).filter(is_name)


@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), mark=st.booleans())
def test_what_is_listed_is_read_again(path, names, mark):
    path.write_text("\n".join(names), "utf-8-sig" if mark else "utf-8", newline="")
    assert read_list(path) == names
