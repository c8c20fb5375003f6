"""Damaged and hostile files of prototypes in a model folder are named, and never followed."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load, save

from protoxai.folders import PROTOTYPES
from protoxai.runtime.files import FileError
from tests.model.prototype_folders import SAMPLE, loaded, projected_model, redigested


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    projected_model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_missing_picture_is_named(folder: Path) -> None:
    (folder / SAMPLE).unlink()
    with pytest.raises(FileError, match=f"{folder} holds no {SAMPLE}, which its config.json lists"):
        loaded(folder)


def test_an_altered_picture_is_named(folder: Path) -> None:
    content = bytearray((folder / SAMPLE).read_bytes())
    content[-1] ^= 1
    (folder / SAMPLE).write_bytes(content)
    with pytest.raises(FileError, match=rf"{folder} is damaged \({SAMPLE}: it is not the file"):
        loaded(folder)


def picture(form: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<script>", r"00002\.webp: the picture of a patch is 8 bytes that begin with"),
        (picture("PNG", (4, 4)), r"00002\.webp: .*expected a plain lossy WebP"),
        (picture("WEBP", (4000, 4000)), r"00002\.webp: .*4000x4000 pixels, expected at most 192"),
        (bytes(2**20 + 1), r"00002\.webp: it has 1048577 bytes, expected a small picture"),
        (None, "prototype 2 has a window but no prototypes/00002.webp"),
    ],
)
def test_hostile_pictures_are_named(content: bytes | None, message: str, folder: Path) -> None:
    redigested(folder, {SAMPLE: content})
    with pytest.raises(FileError, match=rf"{folder} is damaged \(.*{message}"):
        loaded(folder)


def test_pixels_that_are_none_are_an_error_on_access(folder: Path) -> None:
    content = (folder / SAMPLE).read_bytes()
    redigested(folder, {SAMPLE: content[:32]})
    model = loaded(folder)
    assert model.prototypes[0].patch is not None
    with pytest.raises(ValueError, match="prototype 2: the picture of the patch is damaged"):
        model.prototypes[2]


@pytest.mark.parametrize(
    "name",
    [
        *("prototypes/../../x.webp", "prototypes/2.webp", "/x/00002.webp", "x/00002.webp", ""),
        *(f"prototypes/{'9' * digits}.webp" for digits in (10, 500, 5000)),
    ],
)
def test_no_file_outside_is_read(name: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["files"][name] = "0" * 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileError, match=r"damaged \(config\.json: files holds .*expected model"):
        loaded(folder)


@pytest.mark.parametrize("name", ["prototypes/00001.webp", "prototypes/00077.webp"])
def test_pictures_of_no_prototype_are_refused(name: str, folder: Path) -> None:
    redigested(folder, {name: (folder / SAMPLE).read_bytes()})
    with pytest.raises(FileError, match=rf"{name}: it is the picture of a prototype that has none"):
        loaded(folder)


Tensors = dict[str, torch.Tensor]


def dropped(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if name != "windows"}


def renamed(tensors: Tensors) -> Tensors:
    return {**tensors, "extra": torch.zeros(1)}


def shorter(tensors: Tensors) -> Tensors:
    return {**tensors, "class_distances": tensors["class_distances"][1:].clone()}


def other_type(tensors: Tensors) -> Tensors:
    return {**tensors, "windows": tensors["windows"].float()}


def other_window(tensors: Tensors) -> Tensors:
    windows = tensors["windows"].clone()
    windows[2] = torch.tensor([0, 0, 1, 1])
    return {**tensors, "windows": windows}


def no_window(tensors: Tensors) -> Tensors:
    windows = tensors["windows"].clone()
    windows[2] = torch.tensor([5, 5, 5, 5])
    return {**tensors, "windows": windows}


def other_size(tensors: Tensors) -> Tensors:
    sizes = tensors["activation_sizes"].clone()
    sizes[2] = torch.tensor([-3, 4])
    return {**tensors, "activation_sizes": sizes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dropped, "it holds activation_sizes, activations, class_distances, expected class_dist"),
        (renamed, "it holds activation_sizes, .*extra, windows, expected"),
        (shorter, r"class_distances is torch\.float32 of shape .*expected .*with a row for each"),
        (other_type, r"windows is torch\.float32 of shape .*expected torch\.int64"),
        (other_window, "patch of prototype 2: its window .* does not contain the box"),
        (no_window, "window is .*expected top < bottom"),
        (other_size, r"activation has shape \(0, 4\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    change: Callable[[Tensors], Tensors], message: str, folder: Path
) -> None:
    tensors = load((folder / PROTOTYPES).read_bytes())
    redigested(folder, {PROTOTYPES: save(change(tensors))})
    with pytest.raises(FileError, match=rf"{folder} is damaged \(.*{message}"):
        loaded(folder)


def test_a_file_that_holds_no_tensors(folder: Path) -> None:
    redigested(folder, {PROTOTYPES: b"text"})
    with pytest.raises(FileError, match=r"prototypes\.safetensors: it is no safetensors file"):
        loaded(folder)
