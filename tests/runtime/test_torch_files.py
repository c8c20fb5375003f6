import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai.runtime.files import FileError
from protoxai.runtime.torch_files import load_plain


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Command:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def test_tensors_and_plain_values_are_read() -> None:
    content = {"step": 3, "weights": [torch.arange(3)], "name": "ä"}
    read = load_plain(saved(content), "a.pt")
    assert read["step"] == 3
    assert torch.equal(read["weights"][0], torch.arange(3))


@pytest.mark.parametrize("content", ["call", "module"])
def test_nothing_is_executed_and_nobody_is_advised_to(content: str, tmp_path: Path) -> None:
    objects = {"call": Command(tmp_path / "made"), "module": torch.nn.Linear(1, 1)}
    with pytest.raises(FileError, match=r"a.pt holds .*, which is no tensor") as caught:
        load_plain(saved(objects[content]), "a.pt")
    assert not (tmp_path / "made").exists()
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.pt is empty"),
        (b"text", "a.pt (holds other objects|is damaged)"),
        (saved(torch.zeros(2))[:-40], "a.pt is damaged"),
    ],
)
def test_damaged_files(content: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message) as caught:
        load_plain(content, "a.pt")
    assert "weights_only" not in str(caught.value)
