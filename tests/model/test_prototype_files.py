"""Prototypes in a model folder: pictures, activations and distances."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.data import CamVid
from protoxai.folders import PROTOTYPES
from protoxai.prototypes import Patch
from protoxai.runtime.files import FileError
from tests.model.prototype_folders import (
    SAMPLE,
    files,
    loaded,
    pictures,
    projected_model,
    redigested,
)
from tests.toys import Trunk, small_model


@pytest.fixture(scope="module")
def model() -> ScaleProtoSeg:
    return projected_model()


@pytest.fixture
def folder(model: ScaleProtoSeg, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


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
