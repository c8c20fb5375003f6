"""Folders of a projected model, and changes of their files."""

import hashlib
import json
from pathlib import Path

import torch

from protoxai import ScaleProtoSeg, project_prototypes
from tests.toys import Trunk, random_batch, small_model

SAMPLE = "prototypes/00002.webp"


def projected_model() -> ScaleProtoSeg:
    """Return a model whose prototypes are projected, of which one has no picture."""
    torch.manual_seed(0)
    model = small_model(class_names=("a", "b", "c"))
    project_prototypes(model, [random_batch()])
    # As if a class had never occurred.
    patches = list(model.patches or ())
    patches[1] = None
    model.patches = tuple(patches)
    return model


def loaded(folder: Path) -> ScaleProtoSeg:
    return ScaleProtoSeg.from_pretrained(folder, backbone=Trunk())


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def pictures(folder: Path) -> set[str]:
    return {name for name in files(folder) if name.endswith(".webp")}


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
