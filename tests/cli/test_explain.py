"""`protoxai explain`: models and images from anywhere, pages and figures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai import LinearSegmenter, ScaleProtoSeg, explain, project_prototypes
from protoxai.cli.main import main
from tests.training.cases import micro, write

OPTIONS = {"prototypes_per_scale": 1, "prototype_dim": 4, "atrous_rates": (1, 2)}
NAMES = ("<script>alert(1)</script>", "$x_{")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a model, and two images with hostile names."""
    folder = tmp_path_factory.mktemp("run")
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, class_names=NAMES, **OPTIONS)
    model.save_pretrained(folder / "model")
    write(micro(), folder)
    for seed, name in enumerate(("a.png", "<b>'🦊&.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.mark.parametrize("model", [".", "model"])
def test_a_page_of_several_images(
    folder: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [str(folder / name) for name in ("a.png", "<b>'🦊&.png")]
    output = tmp_path / "all of them.html"
    assert main(["explain", str(folder / model), *images, "--output", str(output)]) == 0
    found = explain(ScaleProtoSeg.from_pretrained(folder / "model"), images)
    printed = capsys.readouterr().out
    for image, explanation in zip(images, found, strict=True):
        assert f"{image}\n{explanation}\n" in printed
    assert printed.endswith(f"explanation: {output}\n")
    page = output.read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" not in page
    assert "🦊" in page


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_figure_of_one_image(folder: Path, suffix: str, start: bytes, tmp_path: Path) -> None:
    output = tmp_path / f"one{suffix}"
    assert main(["explain", str(folder), str(folder / "a.png"), "--output", str(output)]) == 0
    assert output.read_bytes().startswith(start)


def test_what_does_not_fit_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, output = str(folder / "a.png"), ["--output", str(tmp_path / "x.html")]
    LinearSegmenter("timm/test_resnet", 2, pretrained=False).save_pretrained(tmp_path / "linear")
    for arguments, message in (
        ([str(folder), image, image, "--output", "x.png"], "shows one image, but there are 2"),
        ([str(folder), image, "--output", "x.jpg"], "--output is 'x.jpg', expected a name"),
        ([str(folder), image, "--output", str(tmp_path)], "--output is "),
        ([str(folder), str(tmp_path / "no.png"), *output], "no.png cannot be read"),
        ([str(tmp_path / "none"), image, *output], "none"),
        ([str(tmp_path / "linear"), image, *output], "which has no prototypes"),
        ([str(folder), *output], "arguments are required: images"),
    ):
        assert main(["explain", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not (tmp_path / "x.html").exists()


def test_pictures_of_prototypes_can_be_left_out(tmp_path: Path) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, **OPTIONS)
    batch = {"image": torch.rand(2, 3, 64, 64), "labels": torch.randint(0, 2, (2, 64, 64))}
    project_prototypes(model, [batch])
    model.save_pretrained(tmp_path / "model")
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    pages = {}
    for name, extra in (("with", []), ("without", ["--no-images"])):
        output = tmp_path / f"{name}.html"
        arguments = [str(tmp_path / "model"), str(tmp_path / "a.png"), "--output", str(output)]
        assert main(["explain", *arguments, *extra]) == 0
        pages[name] = output.read_text(encoding="utf-8")
    # The picture of the explained image alone.
    assert pages["without"].count("data:image/webp") == 1 < pages["with"].count("data:image/webp")
