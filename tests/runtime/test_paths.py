import pytest

from protoxai.runtime.paths import expanded


def test_names_with_dollars_are_kept_where_they_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "scans$2").symlink_to("no such folder")
    assert expanded("~/runs/a") == tmp_path / "runs" / "a"
    assert expanded(tmp_path / "scans$2") == tmp_path / "scans$2"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "--output is empty: give a path"),
        ("a\0b", r"--output is 'a\\x00b', expected a path without"),
        ("$NO_SUCH_NAME/a", "--output is .*no environment variable NO_SUCH_NAME"),
    ],
)
def test_texts_that_are_no_paths_are_refused(path, words):
    with pytest.raises(ValueError, match=words):
        expanded(path, "--output")


@pytest.mark.parametrize("path", [None, 3, b"runs"])
def test_only_texts_and_paths_are_paths(path):
    with pytest.raises(TypeError, match=r"root is .*, expected a path"):
        expanded(path)
