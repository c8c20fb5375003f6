"""An error that stops a run names its place, reason and fix; the last checkpoint stays intact."""

import pytest
import torch
from PIL import Image

from protoxai.losses import ScaleProtoSegLoss
from protoxai.training import Recipe, run
from protoxai.training.recipes.yaml_files import RunError
from protoxai.training.stages.checkpoints import Checkpoints

RECIPE = """
name: stops
data: {{dataset: folder, root: {root}, options: {{num_classes: 3}}, crop: [64, 64], batch_size: 2,
       scale_range: [1.0, 1.0], workers: {workers}}}
model: {{backbone: timm/test_resnet, pretrained: false, prototypes_per_scale: 1, prototype_dim: 4,
        atrous_rates: [1, 2], output_stride: 8}}
checkpoint_every: 1
loggers: []
stages:
  - {{name: joint training, steps: 8, learning_rates: {{scales: 1.0e-3, prototypes: 1.0e-3}}}}
"""


@pytest.fixture
def folder(tmp_path):
    """Two training and one validation image."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 4), ("val", 1)):
        for kind in ("images", "labels"):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(0, 256, (64, 64, 3), generator=generator, dtype=torch.uint8)
            labels = torch.randint(0, 3, (64, 64), generator=generator, dtype=torch.uint8)
            at = tmp_path / "data" / split
            Image.fromarray(pixels.numpy()).save(at / "images" / f"scene{number}.png")
            Image.fromarray(labels.numpy()).save(at / "labels" / f"scene{number}.png")
    return tmp_path


def start(folder, workers=0):
    path = folder / "stops.yaml"
    path.write_text(RECIPE.format(root=folder / "data", workers=workers))
    return run(Recipe.load(path), folder / "run", log=lambda _: None, progress=False)


def spoil_after_two_steps(monkeypatch, spoil):
    """Do something to the data once two checkpoints are written."""
    save, count = Checkpoints.save, iter(range(10**6))

    def save_then_spoil(self, *args):
        path = save(self, *args)
        if next(count) == 1:
            spoil()
        return path

    monkeypatch.setattr(Checkpoints, "save", save_then_spoil)


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_image(folder, monkeypatch, workers):
    def spoil():
        for path in (folder / "data" / "train" / "images").iterdir():
            path.write_bytes(path.read_bytes()[:100])

    if workers:
        spoil()
    else:
        spoil_after_two_steps(monkeypatch, spoil)
    # Cached images would not be read again.
    monkeypatch.setattr("protoxai.data.FolderDataset.__init__", uncached(monkeypatch))
    with pytest.raises(RunError, match=r"stage joint training, step \d: .*scene\d\.png") as stop:
        start(folder, workers)
    assert "\n" not in str(stop.value)
    if not workers:
        assert Checkpoints(folder / "run" / "checkpoints").newest()["training"]["step"] == 2


def test_label_out_of_range(folder):
    file = folder / "data" / "train" / "labels" / "scene1.png"
    Image.new("L", (64, 64), 7).save(file)
    with pytest.raises(RunError, match=r"step \d: .*scene1.*7.*expected classes 0 to 2"):
        start(folder)


def test_loss_that_is_not_finite(folder, monkeypatch):
    forward, count = ScaleProtoSegLoss.forward, iter(range(10**6))

    def diverge(self, *args):
        terms = forward(self, *args)
        if next(count) == 3:
            terms["loss"] = terms["loss"] * float("nan")
        return terms

    monkeypatch.setattr(ScaleProtoSegLoss, "forward", diverge)
    with pytest.raises(RunError, match=r"step 3: the loss is not finite.*images scene\d, scene\d"):
        start(folder)
    newest = Checkpoints(folder / "run" / "checkpoints").newest()
    assert newest["training"]["step"] == 3
    assert all(value.isfinite().all() for value in newest["model"].values())


def uncached(monkeypatch):
    from protoxai.data import FolderDataset

    original = FolderDataset.__init__

    def start_uncached(self, *args, **options):
        original(self, *args, **{**options, "cache": False})

    return start_uncached
