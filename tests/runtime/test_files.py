"""Files are UTF-8 whatever the locale; JSON holds no NaN; a failed write leaves the old file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protoxai.runtime.files import FileError, read_json, read_text, to_json, write_file, write_json


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_read_with_or_without_a_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "classes.txt").write_bytes(mark + "Straße".encode())
    assert read_text(tmp_path / "classes.txt") == "Straße"


def test_another_encoding_is_refused_with_file_and_position(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("Straße".encode("latin-1"))
    with pytest.raises(FileError, match=r"classes.txt is not UTF-8 .byte 0xdf at position 4."):
        read_text(tmp_path / "classes.txt")


def test_json_is_utf_8_in_an_ascii_locale(tmp_path: Path) -> None:
    code = "from protoxai.runtime.files import *; write_json('x.json', [chr(0x2191)])"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "x.json").read_bytes().decode() == '[\n "↑"\n]\n'


def test_what_json_does_not_have_becomes_null_or_plain() -> None:
    content = {"a": [float("nan"), float("inf")], "b": np.float32(0.5), "c": np.arange(2)}
    assert json.loads(to_json({**content, "d": Path("x")})) == {
        "a": [None, None],
        "b": 0.5,
        "c": [0, 1],
        "d": "x",
    }
    with pytest.raises(TypeError, match=r"is a object, which JSON cannot hold"):
        to_json([object()])


@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
def test_what_is_no_json_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileError, match=r"x.json is no JSON"):
        read_json(tmp_path / "x.json")


def test_a_failed_write_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "x.json", 1)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left"):
        write_file(tmp_path / "x.json", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    assert read_json(tmp_path / "x.json") == 1
