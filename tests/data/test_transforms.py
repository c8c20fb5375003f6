import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from protoxai.data import Shapes, evaluation_transform, training_transform

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def aligned(height, width, classes=200):
    """An image whose red channel is its label, and the masks."""
    labels = torch.arange(height * width).reshape(height, width) % classes
    image = labels.to(torch.uint8).expand(3, height, width).clone()
    masks = {"labels": tv_tensors.Mask(labels), "parts": tv_tensors.Mask(labels + 1000)}
    return tv_tensors.Image(image), masks


def unnormalised(image):
    return ((image * 0.5 + 0.5) * 255).round().long()


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_image_labels_and_parts_stay_together(flip):
    transform = training_transform((10, 12), scale=(1, 1), flip=flip, **HALF)
    whole, _ = aligned(20, 30)
    for _ in range(5):
        image, masks = transform(*aligned(20, 30))
        assert image.shape == (3, 10, 12)
        assert image.dtype == torch.float32
        assert torch.equal(unnormalised(image)[0], masks["labels"])
        assert torch.equal(masks["parts"], masks["labels"] + 1000)
        steps = masks["labels"].diff(dim=1)
        assert (steps == (-1 if flip else 1)).float().mean() > 0.8
    assert whole.shape == (3, 20, 30)


def test_padding_ignores_labels_and_is_zero_after_normalisation():
    torch.manual_seed(0)
    transform = training_transform(
        (16, 20), scale=(0.5, 0.5), color_jitter=0.5, ignore_index=-1, mean=(0.2, 0.5, 0.8),
        std=(0.1, 0.2, 0.3),
    )  # fmt: skip
    for _ in range(4):
        image, masks = transform(*aligned(20, 24))
        padding = masks["labels"] == -1
        assert int((~padding).sum()) == 10 * 12
        assert not image[:, padding].any()
        assert image[:, ~padding].abs().max() > 0.1
        assert masks["parts"][padding].unique().tolist() == [0]
        assert masks["parts"][~padding].min() >= 1000


@pytest.mark.parametrize("log_uniform", [False, True])
def test_scale_of_the_image(log_uniform):
    torch.manual_seed(0)
    transform = training_transform((400, 400), scale=(0.5, 2), log_uniform=log_uniform, **HALF)
    factors = []
    for _ in range(150):
        _, masks = transform(*aligned(100, 100))
        factors.append(float((masks["labels"] != 255).sum()) ** 0.5 / 100)
    factors = torch.tensor(factors)
    assert 0.5 <= factors.min() < 0.6
    assert 1.85 < factors.max() <= 2
    # Halving is as likely as doubling only on the logarithm's scale.
    assert float((factors < 1).float().mean()) == pytest.approx(
        0.5 if log_uniform else 1 / 3, abs=0.1
    )


def test_scale_of_the_crop():
    transform = training_transform((30, 50), scale=(1, 1), relative_to="crop", **HALF)
    _, masks = transform(*aligned(60, 80))
    assert int((masks["labels"] != 255).sum()) == 30 * 40  # the whole image, the height decides
    twice = training_transform((30, 40), scale=(2, 2), relative_to="crop", **HALF)
    _, masks = twice(*aligned(60, 80))
    assert (masks["labels"] != 255).all()


def test_masks_are_nearest_and_centred():
    transform = training_transform((6, 6), scale=(0.5, 0.5), flip=0, **HALF)
    _, masks = transform(*aligned(12, 12))
    rows = torch.arange(6) * 2 + 1
    assert masks["labels"].tolist() == (rows[:, None] * 12 + rows).tolist()

    two = torch.zeros(40, 40, dtype=torch.int64)
    two[10:23, 7:31] = 150
    image = tv_tensors.Image(two.to(torch.uint8).expand(3, 40, 40))
    transform = training_transform((64, 64), scale=(0.6, 1.7), **HALF)
    for _ in range(10):
        _, masks = transform(image, {"labels": tv_tensors.Mask(two)})
        assert set(masks["labels"].unique().tolist()) <= {0, 150, 255}


def test_image_is_bilinear_and_follows_the_mask():
    square = torch.zeros(64, 64, dtype=torch.int64)
    square[16:40, 8:48] = 1
    image = tv_tensors.Image((square * 255).to(torch.uint8).expand(3, 64, 64))
    transform = training_transform((160, 160), scale=(0.5, 2.3), **HALF)
    for _ in range(10):
        out, masks = transform(image, {"labels": tv_tensors.Mask(square)})
        inside = masks["labels"] != 255
        agree = (out[0] > 0) == (masks["labels"] == 1)
        assert agree[inside].float().mean() > 0.97


def test_jitter_changes_the_image_only():
    torch.manual_seed(0)
    transform = training_transform((20, 20), scale=(1, 1), flip=0, color_jitter=0.4, **HALF)
    outputs = [transform(*aligned(20, 20)) for _ in range(3)]
    assert not torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][1]["labels"], outputs[1][1]["labels"])


def test_torch_seed_decides_everything():
    shapes = Shapes(size=64, transform=training_transform((48, 48), color_jitter=0.3, **HALF))
    torch.manual_seed(3)
    first = [shapes[i] for i in range(4)]
    torch.manual_seed(3)
    again = [shapes[i] for i in range(4)]
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["image"], shapes[0]["image"])


def test_torchvision_steps_mix_in():
    steps = [v2.RandomVerticalFlip(1.0), evaluation_transform(None, **HALF)]
    image, masks = v2.Compose(steps)(*aligned(6, 7))
    assert torch.equal(unnormalised(image)[0], masks["labels"])
    assert masks["labels"][-1, 0] == 0


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (60, 80)), (30, (30, 40)), ((21, 35), (21, 35))]
)
def test_evaluation_keeps_the_labels(size, expected):
    image, masks = evaluation_transform(size, **HALF)(*aligned(60, 80))
    assert image.shape[1:] == expected
    assert torch.equal(masks["labels"], aligned(60, 80)[1]["labels"])
    assert -1 <= image.min() < image.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 4)}, "size is 0, expected"),
        ({"size": 32}, "size is 32, expected 2 whole numbers"),
        ({"scale": (2, 1)}, "smallest, largest"),
        ({"scale": (0, 1)}, "above 0"),
        ({"flip": 1.5}, "flip is 1.5, expected a number from 0 to 1"),
        ({"color_jitter": -0.1}, "color_jitter is -0.1"),
        ({"relative_to": "window"}, "relative_to is .*'image', 'crop'"),
        ({"mean": (0.5,)}, "mean is .*expected 3 finite numbers"),
        ({"std": (0.5, 0, 0.5)}, "std is 0, expected a number above 0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        training_transform(**{"size": (8, 8), **HALF, **options})


@pytest.mark.parametrize("size", [0, (3,), (4, -1)])
def test_wrong_evaluation_size(size):
    with pytest.raises(ValueError, match=r"^size is "):
        evaluation_transform(size, **HALF)


def test_scaling_down_is_antialiased():
    # Pixels that alternate between black and white average to grey; without a filter, sampling
    # every other pixel gives an image that is black or white all over.
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    image = tv_tensors.Image((board * 255).to(torch.uint8).expand(3, 64, 64))
    masks = {"labels": tv_tensors.Mask(board)}
    steps = [
        training_transform((22, 22), scale=(1 / 3, 1 / 3), flip=0, **HALF),
        evaluation_transform(21, **HALF),
    ]
    for transform in steps:
        scaled, _ = transform(image, masks)
        grey = unnormalised(scaled)[:, 2:-3, 2:-3]
        assert grey.min() > 96
        assert grey.max() < 160


def between_four(pixels, size):
    """Bilinear resizing with half-pixel centres, by its formula: each pixel from its four."""
    (height, width), resized = pixels.shape, np.empty(size)
    for i, j in np.ndindex(*size):
        y = np.clip((i + 0.5) * height / size[0] - 0.5, 0, height - 1)
        x = np.clip((j + 0.5) * width / size[1] - 0.5, 0, width - 1)
        top, left = int(y), int(x)
        low, right = min(top + 1, height - 1), min(left + 1, width - 1)
        above = (1 - x + left) * pixels[top, left] + (x - left) * pixels[top, right]
        below = (1 - x + left) * pixels[low, left] + (x - left) * pixels[low, right]
        resized[i, j] = (1 - y + top) * above + (y - top) * below
    return resized


def noise(height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width))
    image = tv_tensors.Image(torch.tensor(pixels, dtype=torch.uint8).expand(3, -1, -1).clone())
    return pixels, image, {"labels": tv_tensors.Mask(torch.zeros(height, width).long())}


@pytest.mark.parametrize("factor", [0.5, 0.61, 0.87, 1.0, 1.43])
def test_the_training_scale_without_antialiasing(factor):
    pixels, *sample = noise(41, 57)
    size = (int(41 * factor), int(57 * factor))
    options = {"scale": (factor, factor), "flip": 0, **HALF}
    expected = between_four(pixels, size)
    images = [
        training_transform(size, antialias=antialias, **options)(*sample)[0][0] * 127.5 + 127.5
        for antialias in (False, True)
    ]
    assert np.abs(images[0].numpy() - expected).max() < 1
    if factor < 0.9:
        assert np.abs(images[1].numpy() - expected).max() > 38


@pytest.mark.parametrize(("size", "resized"), [((20, 33), (20, 33)), (27, (27, 37))])
def test_the_evaluation_without_antialiasing_does_not_round(size, resized):
    pixels, *sample = noise(41, 57)
    image, _ = evaluation_transform(size, antialias=False, **HALF)(*sample)
    expected = between_four(pixels, resized) / 127.5 - 1
    np.testing.assert_allclose(image[0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "options", "kept"),
    [
        ((101, 7), {"scale": (0.999, 0.999)}, (100, 6)),
        ((5, 17), {"scale": (0.15, 0.15)}, (1, 2)),
        # The product of a size and its inverse may lie just below 1.
        ((49, 98), {"scale": (1, 1), "relative_to": "crop", "size": (1, 2)}, (1, 2)),
    ],
)
def test_scaled_sizes_are_truncated(image, options, kept):
    options = {"size": (128, 128), **HALF, **options}
    labels = training_transform(**options)(*aligned(*image))[1]["labels"]
    assert (int((labels != 255).any(1).sum()), int((labels != 255).any(0).sum())) == kept
