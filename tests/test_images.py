import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from protoxai.data.label_images import read_labels
from protoxai.images import count_pages, normalise, read_image, unit_range
from tests.data.trees import save_stack


@pytest.fixture
def stack(tmp_path):
    save_stack(tmp_path / "a.tif", [np.full((2, 3), 10 * k, dtype=np.uint8) for k in range(4)])
    return tmp_path / "a.tif"


def test_pages(stack, tmp_path):
    assert count_pages(stack) == 4
    assert read_image(stack, 2).unique().tolist() == [20]
    assert read_labels(stack, 3).unique().tolist() == [30]
    assert read_labels(stack).unique().tolist() == [0]
    with pytest.raises(ValueError, match=r"a\.tif cannot be read"):
        read_image(stack, 4)
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert count_pages(tmp_path / "a.png") == 1
    with pytest.raises(ValueError, match=r"b\.png cannot be read"):
        count_pages(tmp_path / "b.png")


def test_every_mode_is_read_as_rgb(tmp_path):
    Image.new("L", (3, 2), color=7).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[7] * 3] * 2] * 3
    Image.new("RGB", (1, 1), color=(1, 2, 3)).convert("RGBA").save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").flatten().tolist() == [1, 2, 3]


def test_more_than_eight_bits_are_an_error(tmp_path):
    Image.fromarray(np.full((2, 2), 1000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png: image mode I;16 .* scale it to 8 bits"):
        read_image(tmp_path / "deep.png")


def test_normalising_is_that_of_torchvision():
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, 16, 16)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = F.normalize(F.to_dtype(image, torch.float32, scale=True), list(mean), list(std))
    assert torch.equal(normalise(image, mean, std), expected)
    unit = unit_range(image)
    assert (float(unit.min()), float(unit.max())) == (0, 1)
    assert torch.equal(normalise(unit, mean, std), expected)
    assert torch.equal(unit, unit_range(unit))


def test_one_mean_and_deviation_per_channel():
    with pytest.raises(ValueError, match=r"mean=\(0.5,\).*give 3 values"):
        normalise(torch.zeros(3, 2, 2), [0.5], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="std above 0"):
        normalise(torch.zeros(1, 2, 2), [0.5], [0.0])
