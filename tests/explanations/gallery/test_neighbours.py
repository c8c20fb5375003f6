from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from protoxai import ScaleProtoSeg, gallery
from protoxai.explanations.gallery import Neighbours
from protoxai.metrics import prototype_purity
from protoxai.projection.active_region import patch_box
from tests.explanations.cases import NAMES, block_model, blocks


class Blocks:
    """Noisy blocks, moved from image to image."""

    class_names, ignore_index = NAMES, 255

    def __init__(self, count: int = 13, *, labels: bool = True) -> None:
        self.count, self.labels = count, labels

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        image, labels = blocks()
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(index))
        image = image.roll(5 * index, 2) + 0.2 * noise
        sample = {"image": image, "labels": labels.roll(5 * index, 1), "id": str(index)}
        return sample if self.labels else {"image": image, "id": str(index)}


def model() -> ScaleProtoSeg:
    return block_model().float()


def found(data: Any, own: ScaleProtoSeg) -> Neighbours:
    neighbours = gallery(own, data).neighbours
    assert neighbours is not None
    return neighbours


def activations(own: ScaleProtoSeg, data: Any) -> Tensor:
    with torch.no_grad():
        images = torch.stack([data[index]["image"] for index in range(len(data))])
        maps: Tensor = own.eval()(images).activations
    return maps


def test_they_are_the_most_active_patches_each_of_another_image() -> None:
    own, data = model(), Blocks()
    maps = activations(own, data)
    for prototype, neighbours in found(data, own).patches.items():
        best = maps[:, prototype].flatten(1).max(1).values
        # The prototypes are patches of an image that is called "0".
        best[0] = -torch.inf
        order = best.argsort(descending=True, stable=True)[:10].tolist()
        assert sorted(each.image_index for each in neighbours) == sorted(order)
        images = [each.image_id for each in neighbours]
        assert len(set(images)) == 10
        assert "0" not in images
        highest = float(own.prototype_layer.activation(torch.zeros(1)))
        likeness = [each.likeness for each in neighbours]
        assert likeness == sorted(likeness, reverse=True)
        assert likeness == pytest.approx((best[order] / highest).clamp_max(1).tolist(), abs=1e-5)


def test_pictures_show_the_patch() -> None:
    own, data = model(), Blocks(4)
    maps = activations(own, data)
    for prototype, neighbours in found(data, own).patches.items():
        assert len(neighbours) == 3
        for each in neighbours:
            place = int(maps[each.image_index, prototype].argmax())
            cell = patch_box(
                *divmod(place, maps.shape[3]), (maps.shape[2], maps.shape[3]), (32, 48)
            )
            top, left, bottom, right = each.patch.window
            assert top <= cell[0] < cell[2] <= bottom
            assert left <= cell[1] < cell[3] <= right
            assert each.cell == each.patch.within(cell)
            image = data[each.image_index]["image"]
            mean, std = (torch.tensor(v)[:, None, None] for v in (own.mean, own.std))
            colours = (image * std + mean).clamp(0, 1)[:, top:bottom, left:right]
            shown = each.patch.picture().transpose(2, 0, 1) / 255
            assert np.abs(shown.mean((1, 2)) - colours.mean((1, 2)).numpy()).max() < 0.1


def test_purity_is_that_of_the_metric() -> None:
    own, data = model(), Blocks()
    labels = torch.stack([data[index]["labels"] for index in range(len(data))])
    expected = prototype_purity(activations(own, data), labels, own.table, seeds=range(len(data)))
    for prototype, purity in found(data, own).purity.items():
        assert purity.share == pytest.approx(float(expected.purity[prototype]))
        chance = expected.frequency[prototype] + expected.chance[prototype]
        assert purity.by_chance == pytest.approx(float(chance))
        assert purity.shows == NAMES[int(expected.shown[prototype])]


def test_without_labels_there_is_no_purity() -> None:
    neighbours = found(Blocks(3, labels=False), model())
    assert neighbours.purity == {}
    assert all(len(own) == 2 for own in neighbours.patches.values())


def test_pictures_are_those_of_the_data_set() -> None:
    class Raw(Blocks):
        def raw(self, index: int) -> Any:
            class Sample:
                image = torch.full((3, 64, 96), 40 * index + 20, dtype=torch.uint8)

            return Sample()

    for neighbours in found(Raw(4), model()).patches.values():
        for each in neighbours:
            assert each.patch.picture().mean() == pytest.approx(40 * each.image_index + 20, abs=2)
            # The window is in pixels of the original.
            assert each.patch.window[2] <= 64


def test_names_of_images_may_be_missing() -> None:
    own = model()
    data = [{"image": Blocks()[index]["image"]} for index in range(3)]
    for neighbours in found(data, own).patches.values():
        assert {each.image_id for each in neighbours} == {"1", "2"}
    assert own.provenance is not None
    elsewhere = tuple(replace(entry, image_id="elsewhere") for entry in own.provenance)
    own.projection = replace(own.projection, provenance=elsewhere)
    assert all(len(each) == 3 for each in found(data, own).patches.values())


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([], ValueError, "empty"),
        (3, TypeError, "data set"),
        ({"image": 1}, TypeError, "data set"),
        ([torch.zeros(3, 8, 8)], TypeError, "item 0"),
        ([{"image": torch.zeros(8, 8)}], ValueError, "expected \\(3, H, W\\)"),
    ],
)
def test_bad_data(data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gallery(model(), data)
