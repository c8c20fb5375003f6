"""Every command that README and documentation show works as it is written, on small stand-ins."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision.models.segmentation import deeplabv3_resnet50, lraspp_mobilenet_v3_large

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.cli.main import main
from protoxai.data import Cityscapes, Shapes
from tests.data.trees import make_cityscapes, make_pascal_voc
from tests.training.cases import micro

ROOT = Path(__file__).parents[1]
# The run that other pages use is trained first.
FIRST = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/training.md")]
PAGES = list(dict.fromkeys([*FIRST, *sorted((ROOT / "docs").rglob("*.md"))]))
# What makes a documented training small; everything else is as documented.
SMALL = ["--smoke", "--model.backbone=timm/test_resnet", "--model.pretrained=false"]
SMALL += ["--model.feature_levels=null", "--model.prototypes_per_scale=1", "--loggers=[]"]
SMALL += ["--data.batch_size=2", "--data.workers=0", "--baseline=false", "--no-check"]
UNET = """
from protoxai import LinearSegmenter

def unet():
    return LinearSegmenter("unet", {classes}, pretrained=False)
"""


def documented() -> list[list[str]]:
    """Return the words of each shell command in a code block, in the order of the pages."""
    commands = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"(?ms)^```bash\n(.*?)^```", text):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    commands.append(words)
    return commands


def arguments_of(words: list[str]) -> list[str] | None:
    """Return the arguments of a protoxai command; None for other commands."""
    if words[0].endswith("protoxai"):
        return words[1:]
    if "protoxai.cli" in words:
        return words[words.index("protoxai.cli") + 1 :]
    return None


@pytest.fixture
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which what the pages name exists: data, runs, recipes and plugins."""
    monkeypatch.chdir(tmp_path)
    for name in ("docs", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    data = tmp_path / "path" / "to"
    make_pascal_voc(data / "VOC2012")
    make_cityscapes(data / "cityscapes")
    pairs(data / "camvid", classes=11)
    pairs(data / "scans", classes=2)
    for photo in ("path/to/photos/a.png", "street.png", "crossing.png"):
        (tmp_path / photo).parent.mkdir(exist_ok=True)
        Image.effect_noise((80, 60), 90).convert("RGB").save(tmp_path / photo)
    city = Cityscapes(data / "cityscapes", "val")
    options = {"pretrained": False, "class_names": city.class_names}
    model = LinearSegmenter("timm/test_resnet", city.num_classes, **options)
    model.save_pretrained(tmp_path / "runs" / "city" / "model")
    recipe = {**micro(), "baseline": True}
    recipe["stages"][0]["after"] = []
    (tmp_path / "my_recipe.yaml").write_text(yaml.safe_dump(recipe))
    # Under another name: the recipe of the templates has registered the template's own.
    loss = (ROOT / "docs" / "templates" / "loss.py").read_text(encoding="utf-8")
    (tmp_path / "my_losses.py").write_text(loss.replace('"mean_activation"', '"my_loss"'))
    classes = len(Shapes(length=1, size=32).class_names)
    own = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
    torch.save(own.state_dict(), tmp_path / "my.pth")
    (tmp_path / "my_models.py").write_text(UNET.format(classes=classes))
    released = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True).state_dict()
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: released
    )
    assert (
        main(["train", "my_recipe.yaml", "--output", "runs/shapes", "--smoke", "--no-check"]) == 0
    )
    prototype = ScaleProtoSeg.from_pretrained("runs/shapes/model").prototypes[0]
    mark = {"index": 0, "class": prototype.class_name, "image_id": None}
    (tmp_path / "marks.json").write_text(json.dumps({"format": 1, "prototypes": [mark]}))


def pairs(root: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for number in range(4):
            labels = rng.integers(0, classes, (6, 8)).repeat(10, 0).repeat(10, 1)
            labels = Image.fromarray(labels.astype(np.uint8))
            labels.save(root / split / "labels" / f"{number}.png")
            labels.convert("RGB").save(root / split / "images" / f"{number}.png")


@pytest.mark.slow
@pytest.mark.usefixtures("_plugins_forgotten", "_workplace")
def test_every_protoxai_command_works(tmp_path: Path) -> None:
    commands = [found for found in map(arguments_of, documented()) if found is not None]
    assert len(commands) >= 10
    for arguments in commands:
        small = list(arguments)
        if small[0] == "train":
            small += SMALL
            if "--seeds" in small:
                small[small.index("--seeds") + 1] = "2"
        elif small[0] == "compare":
            small += ["--tasks", "1"]
            if "--methods" not in small:
                small += ["--methods", "groups", "InputXGradient"]
            if "--metrics" not in small:
                small += ["--metrics", "sparseness", "pointing_game"]
        with warnings.catch_warnings():
            # Random labels leave classes without a pixel.
            warnings.filterwarnings("ignore", ".*no pixel has class.*")
            assert main(small) == 0, " ".join(small)
    assert (tmp_path / "runs" / "comparison" / "comparison.md").is_file()
    assert list((tmp_path / "predictions").rglob("*.png"))


def test_other_commands_name_what_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in documented():
        if words[0] == "make":
            assert words[1] in targets, words
        for word in words:
            if word.startswith(("benchmarks/", "docs/", "tests/")):
                assert (ROOT / word).exists(), words
