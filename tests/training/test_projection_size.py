"""Prototypes are projected on images at their own size, or at that of the evaluation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from protoxai import ScaleProtoSeg
from protoxai.data import RawSample, SegmentationDataset
from protoxai.training import DataRecipe, Recipe
from protoxai.training.feeding.loaders import Splits, projection_loader
from protoxai.training.rehearsal import rehearse
from protoxai.training.stages.actions import run_action
from tests.training.cases import micro, toy_model, write

SIZES = ((64, 64), (48, 80), (96, 56))
SIDE = 8
"""Image pixels of a feature pixel of the toy model."""


class Unequal(SegmentationDataset):
    """Random images of three sizes; two classes lie side by side, in blocks of feature pixels."""

    def __init__(self) -> None:
        super().__init__(("left", "right"))

    def __len__(self) -> int:
        return len(SIZES)

    def raw(self, index: int) -> RawSample:
        self.check_index(index)
        height, width = SIZES[index]
        image = torch.randint(
            256, (3, height, width), generator=torch.Generator().manual_seed(index)
        )
        labels = torch.zeros(height, width, dtype=torch.int64)
        labels[:, width // 2 // SIDE * SIDE :] = 1
        return RawSample(image.to(torch.uint8), labels, id=f"image {index}")


def data(size: str, **changes: Any) -> DataRecipe:
    keys = {"crop": (32, 32), "evaluation_size": (32, 48), "evaluation_batch_size": 3, **changes}
    return DataRecipe(dataset="shapes", projection_size=size, **keys)


@pytest.fixture
def model() -> ScaleProtoSeg:
    torch.manual_seed(0)
    return toy_model(prototypes_per_scale=4).eval()


def project(model: ScaleProtoSeg, recipe: Recipe, section: DataRecipe) -> None:
    recipe = replace(recipe, data=section)
    splits = Splits(Unequal(), Unequal(), Unequal())
    run_action("project", model, recipe.stages[0], recipe, splits, seed=0)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe.load(write(micro(), tmp_path))


def test_patches_lie_on_the_map_of_the_image_s_own_size(
    model: ScaleProtoSeg, recipe: Recipe
) -> None:
    images = Unequal()
    view = projection_loader(images, data("native"), model).dataset
    with torch.no_grad():
        embeddings = [model.embed(view[index]["image"][None])[0] for index in range(len(images))]
    vectors = model.prototype_layer.prototypes.detach().clone()
    table = zip(model.table.scale_index.tolist(), model.table.class_index.tolist(), strict=True)
    # Prototypes that have the same patch at the same scale are one.
    expected = dict.fromkeys(
        (scale, *_nearest(embeddings, vector, scale, number))
        for vector, (scale, number) in zip(vectors, table, strict=True)
    )
    project(model, recipe, data("native"))
    assert {entry.image_index for entry in model.provenance} == {0, 1, 2}
    projected = zip(model.provenance, model.prototype_layer.prototypes, strict=True)
    for (entry, vector), (scale, image, row, col) in zip(projected, expected, strict=True):
        height, width = SIZES[image]
        assert (entry.image_index, entry.row, entry.col) == (image, row, col)
        assert entry.grid == (height // SIDE, width // SIDE)
        top, left = row * SIDE, col * SIDE
        assert entry.patch == (
            top,
            left,
            min(top + SIDE + 1, height),
            min(left + SIDE + 1, width),
        )
        torch.testing.assert_close(vector, embeddings[image][scale, :, row, col])


def _nearest(
    embeddings: list[torch.Tensor], vector: torch.Tensor, scale: int, number: int
) -> tuple[int, int, int]:
    """Return the image, row and column of the nearest feature pixel of a class."""
    best, place = math.inf, (-1, -1, -1)
    for image, embedding in enumerate(embeddings):
        _, _, rows, columns = embedding.shape
        for row in range(rows):
            for col in range(columns):
                distance = float((embedding[scale, :, row, col] - vector).square().sum())
                if int(col >= columns // 2) == number and distance < best:
                    best, place = distance, (image, row, col)
    return place


def test_or_on_the_map_of_the_evaluation_size(model: ScaleProtoSeg, recipe: Recipe) -> None:
    project(model, recipe, data("size", evaluation_batch_size=1))
    for entry in model.provenance:
        height, width = SIZES[entry.image_index]
        assert entry.grid == (4, 6)
        assert entry.patch[:2] == (entry.row * height // 4, entry.col * width // 6)


def test_images_of_their_own_size_come_one_by_one(model: ScaleProtoSeg) -> None:
    shapes = [tuple(b["image"].shape) for b in projection_loader(Unequal(), data("native"), model)]
    assert shapes == [(1, 3, *size) for size in SIZES]
    same = [b["image"].shape[0] for b in projection_loader(Same(), data("size"), model)]
    assert same == [3]


class Same(Unequal):
    """Images of one size."""

    def raw(self, index: int) -> RawSample:
        return super().raw(0)


def test_a_rehearsal_projects_at_the_size_of_the_projection(
    model: ScaleProtoSeg, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    embed = ScaleProtoSeg.embed

    def recorded(self: ScaleProtoSeg, images: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(images.shape))
        return embed(self, images)

    monkeypatch.setattr(ScaleProtoSeg, "embed", recorded)
    same = Splits(Same(), Same(), Same())
    for size, shape in (("native", (1, 3, 64, 64)), ("size", (3, 3, 32, 48))):
        seen.clear()
        rehearse(model, replace(recipe, data=data(size, batch_size=2)), same)
        assert shape in seen
