"""What the projection keeps of the images around its prototypes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeTable, project_prototypes
from protoxai.projection.active_region import patch_box
from protoxai.projection.batches import EmbeddedBatch
from protoxai.projection.pictures import Pictures, over_window
from protoxai.prototypes.patches import context_window
from tests.toys import colour_model, set_prototypes

TWO = PrototypeTable([0, 1], [0, 0], num_classes=2, num_scales=3)
SIZE = (48, 64)


def coloured() -> tuple[Tensor, Tensor, Tensor]:
    """Two smooth uint8 images (2, 3, 48, 64), the same normalised for the model, and labels."""
    red = torch.linspace(0, 255, 64).expand(48, 64)
    green = torch.linspace(0, 255, 48)[:, None].expand(48, 64)
    raw = torch.stack(
        [torch.stack([red, green, 255 - red]), torch.stack([255 - red, 255 - green, green])]
    ).to(torch.uint8)
    model = colour_model(TWO)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    labels = torch.zeros(2, *SIZE, dtype=torch.long)
    labels[:, :, 32:] = 1
    return raw, (raw / 255 - mean) / std, labels


def shown(image: Tensor, window: tuple[int, int, int, int]) -> Any:
    top, left, bottom, right = window
    return image[:, top:bottom, left:right].permute(1, 2, 0).numpy().astype(int)


# --- which picture


@pytest.mark.parametrize("original", [True, False])
def test_the_picture_is_the_window_of_the_image(original: bool) -> None:
    raw, images, labels = coloured()
    model = colour_model(TWO, stride=4)
    image_of = (lambda index: raw[index - 7]) if original else None
    project_prototypes(model, [(images, labels, [7, 8])], image_of=image_of)
    for prototype in model.prototypes:
        entry, patch = prototype.provenance, model.patches[prototype.index]
        assert patch.window == context_window(entry.active_region, SIZE)
        difference = np.abs(shown(raw[entry.image_index - 7], patch.window) - prototype.patch)
        assert difference.mean() < 6
        assert (difference.max((0, 1)) < 40).all()


def test_images_of_a_data_set_may_be_arrays() -> None:
    raw, images, labels = coloured()
    models = [colour_model(TWO, stride=4) for _ in range(2)]
    for model, image_of in zip(models, (raw.__getitem__, raw.numpy().__getitem__), strict=True):
        set_prototypes(model, [0.2, 0.9])
        project_prototypes(model, [(images, labels)], image_of=image_of)
    assert models[0].patches == models[1].patches


def test_images_of_batches_may_be_smaller_than_their_labels() -> None:
    raw, images, labels = coloured()
    model = colour_model(TWO, stride=2)
    project_prototypes(model, [(images[:, :, ::2, ::2], labels)])
    for prototype in model.prototypes:
        window = model.patches[prototype.index].window
        expected = shown(raw[prototype.provenance.image_index], window)[::2, ::2]
        height, width = prototype.patch.shape[:2]
        assert abs(height - (window[2] - window[0]) / 2) <= 0.5
        difference = np.abs(expected[:height, :width] - prototype.patch[: len(expected)])
        assert difference.mean() < 12


def test_prototypes_that_were_not_projected_have_none() -> None:
    raw, images, _ = coloured()
    model = colour_model(TWO)
    with pytest.warns(UserWarning, match="no pixel has class 1"):
        project_prototypes(
            model, [(images, torch.zeros(2, *SIZE).long())], image_of=raw.__getitem__
        )
    assert model.patches[0] is not None
    assert model.patches[1] is None
    assert model.prototypes[1].patch is None


def test_no_pictures_of_private_images() -> None:
    _, images, labels = coloured()
    model = colour_model(TWO)

    def image_of(index: int) -> Tensor:
        raise AssertionError(index)

    project_prototypes(model, [(images, labels)], image_of=image_of, patches=False)
    assert model.patches is None
    assert model.class_distances is not None
    assert [p.patch for p in model.prototypes] == [None, None]


def test_only_images_with_a_nearest_patch_are_copied() -> None:
    raw, images, labels = coloured()
    embedding = images.sigmoid()[:, None].expand(-1, 3, -1, -1, -1)
    pictures = Pictures(colour_model(TWO, stride=4), None)

    def record(indices: list[int], prototypes: list[int]) -> set[int]:
        batch = EmbeddedBatch(embedding, labels, labels, indices, ["", ""], images)
        places = torch.tensor([[indices[p], 0, 0] for p in prototypes]).view(-1, 3)
        pictures.record(torch.tensor(prototypes), places, torch.zeros(len(places), 3), batch)
        return set(pictures._copies)

    assert record([3, 4], [0, 1]) == {3, 4}
    assert record([5, 6], []) == {3, 4}
    assert record([5, 6], [1]) == {3, 6}
    assert record([7, 8], [0]) == {6, 7}
    assert record([9, 9], [0, 1]) == {9}
    del raw


# --- what does not fit


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, r"image_of\(0\) is None, expected a uint8 image \(3, H, W\)"),
        (torch.rand(3, *SIZE), TypeError, r"expected a uint8 image \(3, H, W\), such as dataset"),
        (torch.zeros(*SIZE, 3).byte(), ValueError, r"shape \(48, 64, 3\), expected \(3, 48, 64\)"),
        (torch.zeros(1, *SIZE).byte(), ValueError, r"shape \(1, 48, 64\), expected \(3, 48, 64\)"),
        (torch.zeros(3, 24, 32).byte(), ValueError, r"shape \(3, 24, 32\).*that the labels cover"),
    ],
)
def test_images_that_are_not_the_originals(
    image: Any, error: type[Exception], message: str
) -> None:
    _, images, labels = coloured()
    model = colour_model(TWO)
    before = model.prototype_layer.prototypes.detach().clone()
    with pytest.raises(error, match=message):
        project_prototypes(model, [(images[:1], labels[:1])], image_of=lambda index: image)
    assert torch.equal(model.prototype_layer.prototypes.detach(), before)
    assert model.provenance is model.patches is model.class_distances is None


def test_arguments_of_another_type() -> None:
    with pytest.raises(TypeError, match="image_of is 3, expected a function"):
        project_prototypes(colour_model(TWO), [], image_of=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="patches is 'no', expected True or False"):
        project_prototypes(colour_model(TWO), [], patches="no")  # type: ignore[arg-type]


# --- the activation


def test_activation_over_a_window_by_hand() -> None:
    # Cells are 10 x 10 pixels; the window begins in the middle of cell (0, 1), ends in (2, 2).
    cells = np.arange(12, dtype=np.uint8).reshape(3, 4)
    activation = over_window(cells, (5, 15, 25, 30), size=(30, 40))
    assert activation.shape == (20, 15)
    assert activation[:, 0].tolist() == [1] * 5 + [5] * 10 + [9] * 5
    assert activation[0].tolist() == [1] * 5 + [2] * 10


def test_many_cells_share_an_entry_by_their_largest() -> None:
    cells = np.zeros((48, 96), dtype=np.uint8)
    cells[3, 95], cells[47, 8] = 200, 100
    activation = over_window(cells, (0, 0, 480, 960), size=(480, 960))
    assert activation.shape == (24, 24)
    assert np.argwhere(activation).tolist() == [[1, 23], [23, 2]]
    assert (activation[1, 23], activation[23, 2]) == (200, 100)


@given(st.data())
def test_the_own_cell_is_always_visited(data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    grid = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    row, col = (data.draw(st.integers(0, n - 1)) for n in grid)
    box = patch_box(row, col, grid, size)
    if box[0] == size[0] or box[1] == size[1] or box[0] == box[2] or box[1] == box[3]:
        return
    margins = data.draw(st.tuples(*[st.integers(0, 40)] * 4))
    window = (
        max(0, box[0] - margins[0]),
        max(0, box[1] - margins[1]),
        min(size[0], box[2] + margins[2]),
        min(size[1], box[3] + margins[3]),
    )
    cells = np.zeros(grid, dtype=np.uint8)
    cells[row, col] = 255
    activation = over_window(cells, window, size)
    assert all(0 < n <= 24 for n in activation.shape)
    assert activation.max() == 255


def test_it_is_that_of_the_projected_prototype() -> None:
    _, images, labels = coloured()
    model = colour_model(TWO, stride=4).eval()
    set_prototypes(model, [5.0, -5.0])  # far from every pixel
    project_prototypes(model, [(images, labels)])
    maps = model(images).activations / model.prototype_layer.activation(torch.zeros(1))
    for prototype in model.prototypes:
        entry, cell = prototype.provenance, prototype.cell
        assert (prototype.activation[cell[0] : cell[0] + 4, cell[1] : cell[1] + 4] == 1).all()
        # Elsewhere it is the activation of the pixel's cell, in steps of 1 / 255.
        top, left = model.patches[prototype.index].window[:2]
        height, width = prototype.activation.shape
        rows = (top + np.arange(height)) // 4
        cols = (left + np.arange(width)) // 4
        if max(height, width) <= 24:
            own = maps[entry.image_index, prototype.index].detach().numpy()
            np.testing.assert_allclose(prototype.activation, own[rows[:, None], cols], atol=1 / 255)
