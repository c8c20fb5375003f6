from typing import Any

import pytest
import torch
from torch import Tensor, nn

from protoxai import LinearSegmenter, PrototypeTable
from protoxai.attribution import ExamplePrototypes
from protoxai.data import Shapes
from protoxai.metrics import prototype_purity
from tests.toys import Subsampled, small_model

TABLE = PrototypeTable([0, 1, 1, 0, 1], [0, 0, 0, 0, 0], num_classes=2, num_scales=1)


def samples(images: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randn(images, 3, 6, 8, generator=generator),
        "labels": torch.randint(2, (images, 6, 8), generator=generator),
        "index": torch.arange(images) * 3,
    }


def batches(found: dict[str, Tensor], *sizes: int) -> list[dict[str, Any]]:
    parts = {name: values.split(list(sizes)) for name, values in found.items()}
    return [{name: part[i] for name, part in parts.items()} for i in range(len(sizes))]


def black_box() -> nn.Module:
    """A model whose features are the colours of every second pixel."""
    return nn.Sequential(Subsampled(2), nn.Conv2d(3, 2, 1))


def test_prototypes_are_features_of_their_class() -> None:
    found = samples(4)
    examples = ExamplePrototypes(black_box(), batches(found, 4), TABLE, "0")
    assert len({tuple(place) for place in examples.places.tolist()}) == len(TABLE)
    for prototype, (index, row, col) in enumerate(examples.places.tolist()):
        image = index // 3
        label = int(found["labels"][image, 2 * row + 1, 2 * col + 1])
        assert label == int(TABLE.class_index[prototype])
        colour = found["image"][image, :, 2 * row, 2 * col]
        torch.testing.assert_close(examples.features[prototype], colour / colour.norm())


def test_activations_are_cosines() -> None:
    examples = ExamplePrototypes(black_box(), batches(samples(4), 4), TABLE, "0")
    images = samples(2, seed=1)["image"]
    maps = examples(images)
    assert maps.shape == (2, 5, 3, 4)
    for prototype in range(5):
        for row in range(3):
            for col in range(4):
                colour = images[1, :, 2 * row, 2 * col]
                expected = float(colour @ examples.features[prototype] / colour.norm())
                assert float(maps[1, prototype, row, col]) == pytest.approx(expected, abs=1e-6)


def test_the_draw_depends_on_the_seed_and_not_on_batches() -> None:
    found = samples(6)
    first = ExamplePrototypes(black_box(), batches(found, 6), TABLE, "0")
    backward = {name: values.flip(0) for name, values in found.items()}
    second = ExamplePrototypes(black_box(), batches(backward, 1, 3, 2), TABLE, "0")
    assert torch.equal(first.places, second.places)
    torch.testing.assert_close(first.features, second.features)
    other = ExamplePrototypes(black_box(), batches(found, 6), TABLE, "0", seed=100)
    assert not torch.equal(first.places, other.places)


def test_every_pixel_of_a_class_is_as_likely() -> None:
    # One image has three pixels of the class, the other one.
    image, labels = torch.ones(2, 3, 1, 4), torch.tensor([[[0, 0, 0, 1]], [[1, 1, 0, 1]]])
    table = PrototypeTable([0], [0], num_classes=2, num_scales=1)
    loader = [{"image": image, "labels": labels}]
    model = nn.Sequential(nn.Identity())
    drawn = [ExamplePrototypes(model, loader, table, "0", seed=2 * s).places[0] for s in range(300)]
    share = sum(int(place[0]) == 0 for place in drawn) / 300
    assert share == pytest.approx(3 / 4, abs=3 * (3 / 16 / 300) ** 0.5)


def test_a_class_with_too_few_pixels_has_fewer_prototypes() -> None:
    loader = [{"image": torch.ones(1, 3, 1, 4), "labels": torch.tensor([[[0, 255, 1, 255]]])}]
    examples = ExamplePrototypes(nn.Sequential(nn.Identity()), loader, TABLE, "0")
    assert examples.places.tolist() == [[0, 0, 0], [0, 0, 2], [-1] * 3, [-1] * 3, [-1] * 3]
    maps = examples(torch.ones(1, 3, 1, 4))
    assert maps.isnan().all(3)[0, :, 0].tolist() == [False, False, True, True, True]
    unseen = prototype_purity(maps, torch.zeros(1, 1, 4).long(), TABLE, patches=1).unseen
    assert unseen.tolist() == [2, 3, 4]


def test_models_of_the_library_have_a_last_map() -> None:
    torch.manual_seed(0)
    loader = [{"image": torch.rand(2, 3, 16, 24), "labels": torch.ones(2, 16, 24).long()}]
    for model in (LinearSegmenter(nn.Conv2d(3, 8, 3, stride=8), 2), small_model(2)):
        examples = ExamplePrototypes(model.train(), loader, TABLE)
        assert examples(torch.rand(1, 3, 16, 24)).shape[1] == 5
        assert model.training
        assert examples.places[TABLE.class_index == 0].eq(-1).all()
    scaled = LinearSegmenter(nn.Conv2d(3, 8, 3, stride=8), 2, input_scales=(0.5,))
    assert ExamplePrototypes(scaled, loader, TABLE)(torch.rand(1, 3, 16, 24)).shape[2:] == (2, 3)


def test_an_empty_loader_is_an_error() -> None:
    with pytest.raises(ValueError, match="got no batch"):
        ExamplePrototypes(black_box(), [], TABLE, "0")
    with pytest.raises(ValueError, match="no layer 'nothing'"):
        ExamplePrototypes(black_box(), batches(samples(1), 1), TABLE, "nothing")


class Parts(nn.Module):
    """Features that are a picture's parts, one by one, with noise."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, images: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(int(images.sum()))
        features = nn.functional.one_hot(images[:, 0].long(), 22).movedim(3, 1).float()
        features = nn.functional.avg_pool2d(features, 4)
        return features + self.noise * torch.randn(features.shape, generator=generator)


def test_purity_ranks_features_by_what_they_know_of_parts() -> None:
    shapes = Shapes(size=64, length=45)
    raw = [shapes.raw(index) for index in range(45)]
    labels, parts = (torch.stack([getattr(r, name) for r in raw]) for name in ("labels", "parts"))
    images = parts[:, None].float().expand(-1, 3, -1, -1)
    loader = [{"image": images, "labels": labels}]
    table = PrototypeTable.regular(9, 1, 4)
    scores = []
    for noise in (0.0, 0.3, 100.0):
        examples = ExamplePrototypes(nn.Sequential(Parts(noise)), loader, table, "0")
        maps = examples(images)
        scores.append(float(prototype_purity(maps, labels, table, parts, shapes.part_class)))
    assert scores[0] > scores[1] > scores[2] + 0.05
    assert abs(scores[2]) < 0.06
