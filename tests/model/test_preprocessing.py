"""Images as users give them, resized and normalised as in the model's evaluation."""

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.data import evaluation_transform
from protoxai.images import normalise
from protoxai.model import EvaluationSettings
from tests.toys import Trunk, small_model

HEIGHT, WIDTH = 36, 52


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def model(**settings: Any) -> ScaleProtoSeg:
    built = small_model().eval()
    if settings:
        built.evaluation_settings = EvaluationSettings(**settings)
    return built


def test_all_forms_give_the_same(pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    net = model()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = normalise(tensor, net.mean, net.std)[None]
    Image.fromarray(pixels).save(tmp_path / "image.png")
    forms: list[Any] = [
        pixels,
        pixels[:, ::-1].copy()[:, ::-1],
        tensor,
        tensor[None],
        Image.fromarray(pixels),
        tmp_path / "image.png",
        str(tmp_path / "image.png"),
        expected,
        expected[0],
    ]
    for form in forms:
        prepared = net.preprocess(form)
        assert prepared.dtype == torch.float32
        assert torch.equal(prepared, expected)
        assert torch.equal(net.predict(form), net.predict(expected))


@pytest.mark.parametrize("size", [None, 20, 80, (24, 30), (72, 104)])
@pytest.mark.parametrize("antialias", [True, False])
def test_images_are_resized_as_in_evaluation(
    size: Any, antialias: bool, pixels: NDArray[np.uint8]
) -> None:
    net = model(evaluation_size=size, antialias=antialias)
    transform = evaluation_transform(size, mean=net.mean, std=net.std, antialias=antialias)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected, _ = transform(tensor, {})
    assert torch.equal(net.preprocess(pixels)[0], expected)
    # Labels have the size of the image as it was given.
    labels = net.predict(pixels)
    assert labels.shape == (1, HEIGHT, WIDTH)
    if size is not None:
        assert not torch.equal(labels, model().predict(pixels))


def test_normalised_tensors_are_not_resized() -> None:
    images = torch.randn(2, 3, HEIGHT, WIDTH)
    plain, sized = model(), model(evaluation_size=20)
    sized.load_state_dict(plain.state_dict())
    assert sized.preprocess(images) is images
    assert torch.equal(sized.predict(images), plain.predict(images))
    once = sized.preprocess(torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8))
    assert once.shape == (1, 3, 20, 28)
    assert sized.preprocess(once) is once


def test_a_batch_of_one_size(pixels: NDArray[np.uint8]) -> None:
    net = model(evaluation_size=20)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    batch = torch.stack([tensor, 255 - tensor])
    prepared = net.preprocess(batch)
    assert torch.equal(prepared[:1], net.preprocess(tensor))
    assert torch.equal(prepared[1:], net.preprocess(255 - tensor))
    assert net.predict(batch).shape == (2, HEIGHT, WIDTH)


def test_weights_of_another_type(pixels: NDArray[np.uint8]) -> None:
    net = model().double()
    assert net.preprocess(pixels).dtype == torch.float64
    assert net.predict(pixels).shape == (1, HEIGHT, WIDTH)


def test_a_black_box_does_the_same(pixels: NDArray[np.uint8]) -> None:
    net = LinearSegmenter(Trunk(), 3)
    net.evaluation_settings = EvaluationSettings(evaluation_size=(16, 24))
    assert net.preprocess(pixels).shape == (1, 3, 16, 24)
    assert net.predict(pixels).shape == (1, HEIGHT, WIDTH)


# --- files and Pillow images


def test_a_photograph_is_turned_as_viewers_turn_it(
    pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    net = model()
    turned = np.ascontiguousarray(np.rot90(pixels, k=-1))
    assert torch.equal(net.preprocess(tmp_path / "turned.png"), net.preprocess(turned))
    assert net.predict(tmp_path / "turned.png").shape == (1, WIDTH, HEIGHT)
    # A Pillow image has the size that it says.
    with Image.open(tmp_path / "turned.png") as image:
        assert net.predict(image).shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGBA", "LA"])
def test_other_modes_are_shown_as_rgb(mode: str, pixels: NDArray[np.uint8]) -> None:
    image = Image.fromarray(pixels).convert("L").convert(mode)
    expected = np.asarray(image.convert("RGB"))
    net = model()
    assert torch.equal(net.preprocess(image), net.preprocess(expected))


def test_the_settings_travel_with_the_model(tmp_path: Path) -> None:
    net = model(evaluation_size=(24, 30), antialias=False, window=(20, 20))
    net.save_pretrained(tmp_path / "once")
    loaded = ScaleProtoSeg.from_pretrained(tmp_path / "once", backbone=Trunk())
    assert loaded.evaluation_settings == net.evaluation_settings
    loaded.save_pretrained(tmp_path / "twice")
    again = ScaleProtoSeg.from_pretrained(tmp_path / "twice", backbone=Trunk())
    assert again.evaluation_settings == net.evaluation_settings
    # Those that are given as a document count.
    other = EvaluationSettings(evaluation_size=64)
    again.save_pretrained(tmp_path / "other", documents=other.documents())
    loaded = ScaleProtoSeg.from_pretrained(tmp_path / "other", backbone=Trunk())
    assert loaded.evaluation_settings == other
    assert model().evaluation_settings is None


# --- what is no image


def transparent() -> Image.Image:
    return Image.new("RGBA", (8, 6), (200, 0, 0, 100))


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, r"got None \(NoneType\), expected a path, a Pillow image"),
        (3, TypeError, r"got 3 \(int\), expected a path"),
        ([[0]], TypeError, r"got \[\[0\]\] \(list\), expected a path"),
        (b"image.png", TypeError, r"expected a path, a Pillow image"),
        ("there/is/none.png", ValueError, "there/is/none.png cannot be read"),
        ("", ValueError, "is a folder, expected a file"),
        (np.zeros((6, 8, 3)), TypeError, "array of float64, whose range is unknown.*uint8"),
        (np.zeros((6, 8, 3), "f"), TypeError, "array of float32.*pass a tensor"),
        (np.zeros((6, 8, 3), np.uint16), TypeError, "array of uint16, whose range is unknown"),
        (np.zeros((6, 8), np.uint8), ValueError, r"\(6, 8\), expected \(H, W, 3\): repeat a grey"),
        (np.zeros((6, 8, 4), np.uint8), ValueError, "leave out an alpha channel"),
        (np.zeros((3, 6, 8), np.uint8), ValueError, r"pass torch\.from_numpy\(array\)"),
        (np.zeros((1, 6, 8, 3), np.uint8), ValueError, r"shape \(1, 6, 8, 3\), expected \(H, W, 3"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, "with at least one"),
        (torch.zeros(6, 8, 3).byte(), ValueError, r"\(1, 6, 8, 3\), expected an RGB image \(3, H"),
        (torch.zeros(6, 8).byte(), ValueError, r"shape \(6, 8\), expected an RGB image \(3, H"),
        (
            torch.zeros(1, 1, 3, 6, 8).byte(),
            ValueError,
            r"expected an RGB image \(3, H, W\) or \(B, 3, H, W\)",
        ),
        (torch.zeros(3, 6, 8).long(), TypeError, r"torch\.int64, expected floating point"),
        (torch.zeros(8, 6), ValueError, r"got shape \(8, 6\), expected"),
        (torch.zeros(1, 1, 3, 8, 6), ValueError, r"got shape \(1, 1, 3, 8, 6\), expected"),
        (Image.new("I;16", (8, 6)), ValueError, "mode I;16, more than 8 bits per channel"),
        (Image.new("F", (8, 6)), ValueError, "mode F, more than 8 bits per channel"),
        (transparent(), ValueError, "images? has transparent pixels, expected opaque ones"),
    ],
)
@pytest.mark.parametrize("method", ["preprocess", "predict"])
def test_what_is_no_image(image: Any, error: type[Exception], message: str, method: str) -> None:
    with pytest.raises(error, match=message) as caught:
        getattr(model(), method)(image)
    named = "images" if method == "predict" else "image"
    assert named in str(caught.value) or isinstance(image, str)


def saved(folder: Path, image: Image.Image | bytes, name: str = "image.png") -> Path:
    path = folder / name
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image.save(path)
    return path


def cut() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 60)).save(file, "PNG")
    return file.getvalue()[:70]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("I;16", (8, 6)), "more than 8 bits"),
        (transparent(), "has transparent pixels"),
        (b"", "is empty, expected an image"),
        (b"text", "cannot be read as an image"),
        (cut(), "cannot be read as an image"),
    ],
)
def test_files_that_are_refused_are_named(
    content: Image.Image | bytes, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        model().predict(path)
    assert str(path) in str(caught.value)


def test_a_tensor_of_a_normalised_image_is_seen_as_before() -> None:
    images: Tensor = torch.randn(2, 3, 20, 24)
    net = model()
    logits = net.logits(images)
    assert torch.equal(
        net.predict(images),
        torch.nn.functional.interpolate(logits, (20, 24), mode="bilinear").argmax(1),
    )


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("method", ["preprocess", "predict"])
def test_values_that_no_normalised_photograph_has_are_told(
    pixels: NDArray[np.uint8], scale: int, method: str
) -> None:
    as_read = scale * (torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    with pytest.warns(UserWarning, match=r"values from 0 to .*uint8.*mean \(0.485, "):
        getattr(model(), method)(as_read)


@pytest.mark.parametrize("value", [0.0, 0.3, -2.1])
def test_of_plain_images_nothing_is_told(value: float) -> None:
    model().predict(torch.full((3, HEIGHT, WIDTH), value))


def test_a_model_of_images_as_they_are_takes_them_silently() -> None:
    trunk = cast(Any, Trunk())
    trunk.mean, trunk.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    LinearSegmenter(trunk, 3).predict(torch.rand(3, HEIGHT, WIDTH))
