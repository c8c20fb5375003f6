"""Damaged model folders, by hypothesis: each is loaded as it is written, or refused in one line."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from protoxai import ScaleProtoSeg, project_prototypes
from tests.toys import Trunk, random_batch, small_model

TENSORS = ("model.safetensors", "prototypes.safetensors")
FILES = ("config.json", "provenance.json", *TENSORS, "prototypes/00000.webp")
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 10**9, 10**400, 1e308, True])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = small_model(class_names=("a", "b", "c"))
    project_prototypes(model, [random_batch()])
    folder = tmp_path_factory.mktemp("original") / "model"
    model.group(2).save_pretrained(folder)
    return folder


def damaged_bytes(content: bytes, data: st.DataObject) -> bytes:
    """Cut a piece out of a file, and put other bytes in its place."""
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 40) | st.just(len(content)))
    return content[:start] + data.draw(st.binary(max_size=20)) + content[start + length :]


def damaged_json(content: Any, data: st.DataObject) -> Any:
    """Replace, drop or add one value at any depth."""
    keys = list(content) if isinstance(content, dict) else []
    if isinstance(content, list):
        keys = list(range(len(content)))
    if not keys or data.draw(st.integers(0, 3)) == 0:
        return data.draw(JSON)
    key = data.draw(st.sampled_from(keys))
    change = data.draw(st.sampled_from(["deeper", "drop", "add"]))
    if change == "deeper":
        content[key] = damaged_json(content[key], data)
    elif change == "drop":
        del content[key]
    elif isinstance(content, dict):
        content[data.draw(st.text(max_size=9))] = data.draw(JSON)
    return content


def damaged_tensors(content: bytes, data: st.DataObject) -> bytes:
    """Drop, rename, reshape or convert one tensor."""
    tensors = load(content)
    name = data.draw(st.sampled_from(sorted(tensors)))
    tensor = tensors.pop(name)
    change = data.draw(st.sampled_from(["drop", "rename", "reshape", "convert"]))
    if change == "rename":
        tensors[data.draw(st.text(max_size=9))] = tensor
    elif change == "reshape":
        tensors[name] = tensor.reshape(-1)[: data.draw(st.integers(0, 9))].clone()
    elif change == "convert":
        types = [torch.int64, torch.float64, torch.float16, torch.bool, torch.complex64]
        tensors[name] = tensor.to(data.draw(st.sampled_from(types)))
    return save(tensors)


def with_digests(folder: Path, number: int) -> None:
    """Make a damaged folder consistent in itself again, or one of format 1."""
    config = json.loads((folder / "config.json").read_bytes())
    if not isinstance(config, dict):
        return
    config = {key: value for key, value in config.items() if key not in ("files", "digest")}
    if number == 2:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        digests = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }
        del digests["config.json"]
        config["files"] = digests
        text = json.dumps(config, sort_keys=True)
        config["digest"] = hashlib.sha256(text.encode()).hexdigest()
    else:
        config["format"] = 1
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def load_or_refuse(folder: Path) -> ScaleProtoSeg | None:
    """Load a folder; a refusal has to be one line that names it."""
    try:
        return ScaleProtoSeg.from_pretrained(folder, backbone=Trunk())
    except ValueError as error:
        message = str(error)
    assert str(folder) in message
    assert "\n" not in message
    return None


def check_damaged_files(data: st.DataObject, original: Path, folder: Path) -> None:
    """Without new digests, only the original loads."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    name = data.draw(st.sampled_from(FILES))
    before = (folder / name).read_bytes()
    after = damaged_bytes(before, data)
    (folder / name).write_bytes(after)
    if load_or_refuse(folder) is not None and after != before:
        assert name == "config.json"
        assert json.loads(after) == json.loads(before)


def check_damaged_content(data: st.DataObject, original: Path, folder: Path) -> None:
    """With new digests too, what is accepted is a whole model."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    name = data.draw(st.sampled_from(FILES))
    content = (folder / name).read_bytes()
    if name in TENSORS:
        (folder / name).write_bytes(damaged_tensors(content, data))
    elif name.endswith(".webp"):
        (folder / name).write_bytes(damaged_bytes(content, data))
    else:
        damaged = json.dumps(damaged_json(json.loads(content), data))
        (folder / name).write_text(damaged, encoding="utf-8")
    with_digests(folder, data.draw(st.sampled_from([1, 2])))
    model = load_or_refuse(folder)
    if model is not None:
        for known in (model.provenance, model.patches, model.class_distances):
            assert known is None or len(known) == len(model.table)
        model.save_pretrained(folder)
        assert load_or_refuse(folder) is not None


@settings(max_examples=60, **SETTINGS)
@given(data=st.data())
def test_damaged_files(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    check_damaged_files(data, original, tmp_path / "model")


@settings(max_examples=60, **SETTINGS)
@given(data=st.data())
def test_damaged_content(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    check_damaged_content(data, original, tmp_path / "model")


@pytest.mark.nightly
@settings(max_examples=1500, **SETTINGS)
@given(data=st.data())
def test_many_damaged_files(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    check_damaged_files(data, original, tmp_path / "model")


@pytest.mark.nightly
@settings(max_examples=1500, **SETTINGS)
@given(data=st.data())
def test_many_damaged_contents(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    check_damaged_content(data, original, tmp_path / "model")
