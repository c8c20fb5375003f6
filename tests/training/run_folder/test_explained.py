"""Explanations at the end of a run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from protoxai import LinearSegmenter, ScaleProtoSeg, explain
from protoxai.data import RawSample, SegmentationDataset
from protoxai.training.recipes.data_recipe import DataRecipe
from protoxai.training.run_folder.explained import (
    chosen_images,
    largest_mistake,
    write_explanations,
)


class Stripes(SegmentationDataset):
    """Images of vertical stripes of the classes, of which some pixels are labelled wrongly.

    Args:
        wrong: Share of each image's pixels whose label is not that of the prediction.
        classes: Number of stripes of each image.
    """

    def __init__(self, wrong: list[float], classes: list[int]) -> None:
        super().__init__(["a", "b", "c"])
        self.wrong, self.classes = wrong, classes

    def __len__(self) -> int:
        return len(self.wrong)

    def raw(self, index: int) -> RawSample:
        stripes = torch.arange(30).expand(20, 30) * self.classes[index] // 30
        labels = stripes.clone()
        labels[: round(20 * self.wrong[index])] = (stripes[0] + 1) % 3
        image = (80 * stripes).to(torch.uint8).expand(3, 20, 30).contiguous()
        return RawSample(image, labels, str(index))


class Reader(ScaleProtoSeg):
    """A model that reads the stripes from their colour."""

    def predict(self, images: Tensor, **options: object) -> Tensor:
        return (images[:1] / 80).round().long()


def reader() -> ScaleProtoSeg:
    return Reader(torch.nn.Conv2d(3, 8, 3, stride=4), 3, prototype_dim=4)


@pytest.mark.parametrize(
    ("wrong", "classes", "expected"),
    [
        ([0.3, 0.1, 0.6, 0.2], [3, 3, 3, 3], (1, 2)),
        # The best has a single class, so that it explains little.
        ([0.3, 0.0, 0.6, 0.2], [3, 1, 1, 3], (3, 2)),
        ([0.5], [1], (0, 0)),
    ],
)
def test_a_success_and_a_mistake_are_chosen(wrong, classes, expected) -> None:
    assert chosen_images(reader(), Stripes(wrong, classes)) == expected


def test_images_without_labels_are_not_chosen() -> None:
    data = Stripes([0.3, 0.1, 0.2], [3, 3, 3])
    plain = data.raw

    def raw(index: int) -> RawSample:
        sample = plain(index)
        labels = torch.full_like(sample.labels, 255) if index == 1 else sample.labels
        return RawSample(sample.image, labels, sample.id)

    data.raw = raw
    assert chosen_images(reader(), data) == (2, 0)


def test_the_files_are_written(tmp_path: Path) -> None:
    model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=4), 3, prototype_dim=4).group()
    data = Stripes([0.3, 0.1], [3, 3])
    recipe = DataRecipe(dataset="shapes", crop=(20, 30))
    names = write_explanations(model, data, recipe, tmp_path)
    assert names == ["explanation.png", "mistake.png", "report.html"]
    assert all((tmp_path / name).stat().st_size > 5_000 for name in names)


def test_without_prototypes_nothing_is_written(tmp_path: Path) -> None:
    model = LinearSegmenter(torch.nn.Conv2d(3, 8, 3, stride=4), 3)
    recipe = DataRecipe(dataset="shapes", crop=(20, 30))
    assert write_explanations(model, Stripes([0.1], [3]), recipe, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_largest_mistake_is_one_region_of_two_classes() -> None:
    model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=4), 3, prototype_dim=4)
    explanation = explain(model, torch.randn(3, 20, 30))
    labels = torch.zeros(20, 30, dtype=torch.int64)
    predicted = labels.clone()
    predicted[:5, :5] = 1  # 25 pixels
    predicted[10:14, 10:20] = 1  # 40 pixels, a region of its own
    labels[10:14, 10:12] = 2  # of which 8 are another mistake
    labels[0, :] = 255
    explanation = replace(explanation, prediction=predicted, labels=labels)
    region, one, true = largest_mistake(explanation)
    assert (one, true, int(region.sum())) == (1, 0, 32)
    assert bool(region[10:14, 12:20].all())
    assert largest_mistake(replace(explanation, prediction=labels)) is None
    assert largest_mistake(replace(explanation, labels=None)) is None
