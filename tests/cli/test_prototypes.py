"""`protoxai prototypes`: the list of a model's prototypes."""

import json
import warnings
from pathlib import Path

import pytest

from protoxai import ScaleProtoSeg
from protoxai.cli.main import main
from tests.cli.models import saved_run


@pytest.mark.parametrize("grouped", [False, True])
def test_every_prototype_is_listed(
    grouped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no pixel has class.*")
        model = saved_run(tmp_path / "run", grouped=grouped)
    for source in (tmp_path / "run", tmp_path / "run" / "model"):
        assert main(["prototypes", str(source)]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["index", "class", "scale", "groups", "image", "distance"]
        assert len(lines) == len(model.table)
    for line, prototype in zip(lines, model.prototypes, strict=True):
        index, *name, scale = line.replace(prototype.class_name, "NAME").split()[:3]
        assert (index, name) == (str(prototype.index), ["NAME"])
        assert scale == str(prototype.scale + 1)
        if prototype.provenance.projected:
            assert line.endswith(f"{prototype.provenance.distance:.4f}")
            assert prototype.provenance.image_id in line
        for number, weight in prototype.groups.items():
            assert f"{number}: {weight:.2f}" in line
    file = tmp_path / "list.json"
    assert main(["prototypes", str(tmp_path / "run"), "--output", str(file)]) == 0
    entries = json.loads(file.read_text())
    assert [entry["class"] for entry in entries] == [p.class_name for p in model.prototypes]
    assert (
        main(["prototypes", str(tmp_path / "run"), "--output", str(file.with_suffix(".txt"))]) == 0
    )
    assert file.with_suffix(".txt").read_text().splitlines() == [head, *lines]


def test_only_those_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, atrous_rates=(1, 2)).group(1)
    model.head.threshold_(0.3)
    model.save_pretrained(tmp_path / "model")
    assert main(["prototypes", str(tmp_path / "model"), "--active"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    indices = [int(line.split()[0]) for line in lines]
    assert indices == [p.index for p in model.prototypes if p.active]
    assert len(indices) < len(model.table)
    # Nothing is known of prototypes that were not projected.
    assert all(line.endswith(" -") for line in lines)


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["a/b", "--output", "list.doc"], "expected a file that ends in .txt, .json, .html"),
        ([str(tmp_path)], f"{tmp_path} holds no config.json"),
    ):
        assert main(["prototypes", *arguments]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "recipe.yaml").write_text("name: a")
    assert main(["prototypes", str(tmp_path)]) == 2
    assert "holds no model yet: finish the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".html", b"<!doctype"), (".pdf", b"%PDF"), (".png", b"\x89PNG"), (".svg", b"<?xml")],
)
def test_a_gallery(suffix: str, start: bytes, tmp_path: Path) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, atrous_rates=(1, 2)).group(1)
    model.save_pretrained(tmp_path / "model")
    output = tmp_path / f"gallery{suffix}"
    assert main(["prototypes", str(tmp_path / "model"), "--output", str(output)]) == 0
    assert output.read_bytes().startswith(start)
