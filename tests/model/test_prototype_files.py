"""Prototypes in a model folder: pictures, activations and distances, and what may be wrong."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save

from protoxai import LinearSegmenter, ScaleProtoSeg, project_prototypes
from protoxai.data import CamVid
from protoxai.folders import PROTOTYPES
from protoxai.prototypes import Patch
from protoxai.runtime.files import FileError
from tests.toys import Trunk, random_batch, small_model

SAMPLE = "prototypes/00002.webp"


@pytest.fixture(scope="module")
def model() -> ScaleProtoSeg:
    torch.manual_seed(0)
    built = small_model(class_names=("a", "b", "c"))
    project_prototypes(built, [random_batch()])
    # Rows of what is not known: as if a class had never occurred.
    patches = list(built.patches or ())
    patches[1] = None
    built.patches = tuple(patches)
    return built


@pytest.fixture
def folder(model: ScaleProtoSeg, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def loaded(folder: Path) -> ScaleProtoSeg:
    return ScaleProtoSeg.from_pretrained(folder, backbone=Trunk())


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def pictures(folder: Path) -> set[str]:
    return {name for name in files(folder) if name.endswith(".webp")}


# --- the round trip


def test_a_folder_keeps_what_the_model_knows(model: ScaleProtoSeg, folder: Path) -> None:
    again = loaded(folder)
    assert again.patches == model.patches
    assert torch.equal(again.class_distances.nan_to_num(-1), model.class_distances.nan_to_num(-1))
    assert again.class_distances.dtype == torch.float32
    for own, other in zip(model.prototypes, again.prototypes, strict=True):
        assert (own.box, own.cell, own.provenance) == (other.box, other.cell, other.provenance)
        assert own.index == 1 or np.array_equal(own.patch, other.patch)
    expected = {f"prototypes/{index:05}.webp" for index in range(len(model.table)) if index != 1}
    assert pictures(folder) == expected
    # Each is a picture that any viewer shows.
    with Image.open(folder / SAMPLE) as picture:
        assert picture.format == "WEBP"
    config = json.loads((folder / "config.json").read_text())
    for name in (*expected, PROTOTYPES):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert config["files"][name] == digest


def test_saving_again_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    loaded(folder).save_pretrained(tmp_path / "again")
    assert files(folder) == files(tmp_path / "again")
    for name in files(folder):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_a_model_before_the_projection_has_no_such_files(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    assert files(tmp_path) == {"config.json", "model.safetensors", "provenance.json"}
    again = loaded(tmp_path)
    assert again.patches is again.class_distances is None


def test_a_grouped_compact_model_keeps_its_own(model: ScaleProtoSeg, tmp_path: Path) -> None:
    grouped = loaded_copy(model, tmp_path / "first").group(2)
    grouped.head.threshold_(0.2)
    compact = grouped.compact()
    assert len(compact.table) < len(model.table)
    compact.save_pretrained(tmp_path / "compact")
    again = loaded(tmp_path / "compact")
    assert again.patches == compact.patches
    assert [p.group_weights for p in again.prototypes] == [
        p.group_weights for p in compact.prototypes
    ]


def loaded_copy(model: ScaleProtoSeg, folder: Path) -> ScaleProtoSeg:
    model.save_pretrained(folder)
    return loaded(folder)


# --- private pictures


def test_pictures_are_left_out(model: ScaleProtoSeg, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, patches=False)
    assert files(tmp_path) == {
        "config.json",
        "model.safetensors",
        "provenance.json",
        "prototypes.safetensors",
    }
    assert set(load((tmp_path / PROTOTYPES).read_bytes())) == {"class_distances"}
    again = loaded(tmp_path)
    assert again.patches is None
    assert again.provenance == model.provenance
    assert again.prototypes[2].patch is None
    assert again.prototypes[2].provenance is not None
    assert model.patches is not None


def test_pictures_of_an_earlier_save_are_removed(model: ScaleProtoSeg, folder: Path) -> None:
    # Parts of a save that was killed, and what is not ours.
    (folder / "prototypes" / "00099.webp.123.part").write_bytes(b"picture")
    (folder / "prototypes" / "00098.webp").write_bytes(b"picture")
    (folder / "prototypes" / "notes.txt").write_text("mine")
    model.save_pretrained(folder)
    assert pictures(folder) == {
        f"prototypes/{index:05}.webp" for index in range(len(model.table)) if index != 1
    }
    assert not list(folder.rglob("*.part"))
    model.save_pretrained(folder, patches=False)
    assert not pictures(folder)
    assert (folder / "prototypes" / "notes.txt").read_text() == "mine"
    (folder / "prototypes" / "notes.txt").unlink()
    model.save_pretrained(folder, patches=False)
    assert not (folder / "prototypes").exists()


def test_a_smaller_model_leaves_no_pictures_behind(model: ScaleProtoSeg, folder: Path) -> None:
    smaller = loaded(folder)
    smaller.keep_prototypes([0, 2])
    smaller.save_pretrained(folder)
    assert pictures(folder) == {"prototypes/00000.webp", "prototypes/00001.webp"}
    assert loaded(folder).patches == (model.patches[0], model.patches[2])


def test_a_model_of_another_kind_leaves_none_behind(folder: Path) -> None:
    LinearSegmenter(Trunk(), 3).save_pretrained(folder)
    assert files(folder) == {"config.json", "model.safetensors"}


def test_pictures_of_the_users_own_stay(model: ScaleProtoSeg, folder: Path) -> None:
    own = folder / "prototypes" / "7.webp"
    own.write_bytes(b"mine")
    model.save_pretrained(folder, patches=False)
    assert own.read_bytes() == b"mine"


def test_an_interrupted_save_is_refused(
    model: ScaleProtoSeg, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protoxai.folders import writing

    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "to_json", lambda content: json.dumps(content))
    write = writing.write_file
    monkeypatch.setattr(
        writing,
        "write_file",
        lambda path, content: stop() if path.name == "config.json" else write(path, content),
    )
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(folder, patches=False)
    # What was to go is gone, and the old folder is no longer taken for whole.
    assert not pictures(folder)
    with pytest.raises(FileError, match=r"holds no prototypes|is damaged"):
        loaded(folder)


# --- damaged and hostile files


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


def redigested(folder: Path, changed: dict[str, bytes | None]) -> None:
    """Write other files with digests that fit, as who wants to attack would."""
    config = json.loads((folder / "config.json").read_text())
    del config["digest"]
    for name, content in changed.items():
        if content is None:
            (folder / name).unlink()
            del config["files"][name]
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
            config["files"][name] = hashlib.sha256(content).hexdigest()
    text = json.dumps(config, sort_keys=True)
    config["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


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


# --- what is not saved


def test_parts_that_do_not_fit_cannot_be_saved(folder: Path, tmp_path: Path) -> None:
    model = loaded(folder)
    with pytest.raises(ValueError, match=r"patches: got .* expected one per prototype"):
        model.patches = model.patches[1:]
    with pytest.raises(ValueError, match=r"class_distances: got shape .*prototypes="):
        replace(model.projection, class_distances=model.class_distances[1:])
    with pytest.raises(TypeError, match="patches is 'no', expected True or False"):
        model.save_pretrained(tmp_path / "other", patches="no")  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


# --- folders of earlier versions


@pytest.mark.parametrize("number", [1, 2])
def test_folders_without_pictures_are_read(number: int, folder: Path) -> None:
    redigested(folder, dict.fromkeys([PROTOTYPES, *pictures(folder)]))
    if number == 1:
        config = json.loads((folder / "config.json").read_text())
        del config["files"], config["digest"]
        (folder / "config.json").write_text(json.dumps({**config, "format": 1}))
    model = loaded(folder)
    assert model.patches is model.class_distances is None
    assert model.provenance is not None
    assert [p.patch for p in model.prototypes] == [None] * len(model.table)


# --- size


@pytest.mark.skipif("PROTOXAI_CAMVID" not in os.environ, reason="PROTOXAI_CAMVID names no folder")
def test_pictures_of_1800_prototypes_take_less_than_15_megabytes() -> None:
    # Windows of the largest size that is not made smaller compress worst.
    camvid, generator = CamVid(os.environ["PROTOXAI_CAMVID"]), np.random.default_rng(0)
    sizes = []
    for index in generator.choice(len(camvid), 30, replace=False).tolist():
        image = camvid.raw(index).image.numpy()
        top, left = (generator.integers(0, n - 192) for n in image.shape[1:])
        window = (int(top), int(left), int(top) + 192, int(left) + 192)
        patch = Patch.cut(image, window, np.zeros((24, 24), dtype=np.uint8))
        sizes.append(len(patch.content) + patch.activation.nbytes)
    assert np.mean(sizes) * 1800 < 15e6
