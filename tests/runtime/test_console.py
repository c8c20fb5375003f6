"""Text for consoles that lack characters: similar ones, escapes, and never an error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from protoxai.runtime.console import plain, print_line, use_plain_text
from tests.training.cases import micro


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "^ v - Strasse, ete, \\u9053"),
        ("cp1252", "^ v – Straße, été, \\u9053"),
        ("latin-1", "^ v - Straße, été, \\u9053"),
        ("utf-8", "↑ ↓ – Straße, été, 道"),
    ],
)
def test_what_an_encoding_lacks_becomes_similar(encoding: str, expected: str) -> None:
    assert plain("↑ ↓ – Straße, été, 道", encoding) == expected


def test_undecoded_bytes_of_a_file_name_are_read_as_utf_8() -> None:
    name = "Straße-ÿ".encode() + b"\xff"
    undecoded = name.decode("ascii", "surrogateescape")
    assert plain(undecoded, "utf-8") == "Straße-ÿ\\xff"
    assert plain(undecoded, "ascii") == "Strasse-y\\xff"
    assert plain("\ud800", "utf-8") == "\\ud800"


@given(
    text=st.text(st.characters(codec=None)),
    encoding=st.sampled_from(["ascii", "cp1252", "latin-1", "utf-8"]),
)
def test_no_text_is_an_error(text: str, encoding: str) -> None:
    assert plain(text, encoding).encode(encoding).decode(encoding) == plain(text, encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_lines_are_printed_on_any_console(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    print_line("pointing ↑")
    use_plain_text()
    sys.stdout.write("pointing ↑\n")
    sys.stdout.flush()
    assert written.getvalue().decode(encoding).splitlines() == ["pointing ^"] * 2


def test_streams_of_another_kind_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    use_plain_text()
    print_line("↑")
    assert sys.stdout.getvalue() == "↑\n"


@pytest.mark.slow
def test_the_command_line_in_an_ascii_locale(tmp_path: Path) -> None:
    labels = np.repeat([[0, 1]], 8, axis=0).astype(np.uint8)
    for split in ("train", "val"):
        for kind, image in (("images", labels * 0), ("labels", labels)):
            (tmp_path / split / kind).mkdir(parents=True)
            Image.fromarray(image).convert("L").save(tmp_path / split / kind / "Straße.png")
    keys = micro()
    keys["data"].update(dataset="folder", root=str(tmp_path))
    keys["data"]["options"] = {"class_names": ["Straße ↑", "$道$"]}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(keys, allow_unicode=True), encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-X", "utf8=0", "-m", "protoxai.cli", "data", "check"]
    command += [str(recipe), "--output", str(tmp_path / "counts.json")]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode("ascii")
    assert "Strasse ^" in text
    assert "$\\u9053$" in text
    assert "Straße ↑" in (tmp_path / "counts.json").read_text(encoding="utf-8")
