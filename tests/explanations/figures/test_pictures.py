from dataclasses import replace

import numpy as np
import pytest
import torch

from protoxai.explanations.figures.pictures import (
    DARK,
    DIMMED,
    GREY,
    brightened,
    class_colours,
    faded,
    image_cutout,
    prototype_cutout,
    spotlit,
)
from tests.explanations.cases import block_model


def test_the_context_is_dimmed_and_the_region_is_not() -> None:
    pixels = np.random.default_rng(0).random((8, 9, 3)) * 0.4 + 0.6
    shown = spotlit(pixels, (2, 3, 5, 7), None)
    np.testing.assert_array_equal(shown[2:5, 3:7], pixels[2:5, 3:7])
    dimmed = (1 - DIMMED) * pixels + DIMMED * GREY
    for outside in (np.s_[:2], np.s_[5:], np.s_[2:5, :3], np.s_[2:5, 7:]):
        np.testing.assert_allclose(shown[outside], dimmed[outside])


def test_light_lies_where_there_is_activation() -> None:
    pixels, activation = np.full((4, 4, 3), 0.6), np.zeros((4, 4))
    activation[1, 1], activation[1, 2] = 1.0, 0.5
    shown = spotlit(pixels, (0, 0, 4, 4), activation)
    gained = (shown - pixels).sum(2)
    assert gained[1, 1] > gained[1, 2] > 0
    assert gained.sum() == pytest.approx(gained[1, 1] + gained[1, 2])
    # A light darkens nothing.
    assert (shown >= pixels).all()


def test_dark_pictures_are_brightened_and_others_are_not() -> None:
    bright = np.linspace(0, 1, 300).reshape(10, 10, 3)
    np.testing.assert_array_equal(brightened(bright), bright)
    dark = bright * 0.2
    shown = brightened(dark)
    assert np.quantile(shown.max(2), 0.9) == pytest.approx(DARK, abs=1e-3)
    # The order of the levels stays.
    assert (np.diff(shown.ravel()) >= 0).all()
    np.testing.assert_array_equal(brightened(np.zeros((2, 2, 3))), np.zeros((2, 2, 3)))


def test_a_cutout_of_an_image_is_cut_at_its_edge() -> None:
    image = torch.rand(3, 20, 30)
    cutout = image_cutout(image, (0, 26, 4, 30), None)
    assert cutout.pixels.shape == (8, 8, 3)
    assert cutout.box == (0, 4, 4, 8)
    np.testing.assert_allclose(
        cutout.pixels[0:4, 4:8], image[:, 0:4, 26:30].permute(1, 2, 0).numpy(), atol=1e-6
    )


def test_a_prototype_without_activation_or_box() -> None:
    prototype = block_model().prototypes[0]
    bare = prototype_cutout(replace(prototype, activation=None, box=None, cell=None))
    assert bare is not None
    assert prototype.patch is not None
    np.testing.assert_allclose(bare.pixels, brightened(prototype.patch / 255))
    assert prototype_cutout(replace(prototype, patch=None)) is None


def test_faded_outside() -> None:
    image, region = torch.rand(3, 4, 4), torch.zeros(4, 4, dtype=torch.bool)
    region[0, 0] = True
    shown = faded(image, region)
    np.testing.assert_allclose(shown[0, 0], image[:, 0, 0].numpy(), atol=1e-6)
    assert (shown[1:] >= image.permute(1, 2, 0).numpy()[1:]).all()


def test_colours_of_classes() -> None:
    np.testing.assert_allclose(class_colours(1, ((255, 0, 51),)), [[1, 0, 0.2]])
    assert len({tuple(colour) for colour in class_colours(30, None).tolist()}) == 30
