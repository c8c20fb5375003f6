import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from protoxai import PrototypeTable, project_prototypes
from protoxai.projection.active_region import patch_box
from tests.cases import VOID
from tests.toys import (
    assert_same_record,
    batchnorm_state,
    colour_model,
    images_of,
    loaded_colours,
    modes,
    places,
    set_prototypes,
    small_model,
)

RED, GREEN, BLUE = range(3)


# --- the model: its embedding is the sigmoid of the images' colours


TWO = PrototypeTable([0, 1], [RED, RED], num_classes=2, num_scales=3)


def test_prototypes_become_patches_with_their_provenance(device: torch.device) -> None:
    model = colour_model(TWO).to(device)
    set_prototypes(model, [0.1, 0.9])
    images = images_of([[0.2, 0.7], [0.2, 0.1]], [[0.8, 0.3], [0.5, 0.2]])
    labels = torch.tensor([[[0, 1], [0, VOID]], [[1, 0], [1, 1]]])
    batch = {"image": images, "labels": labels, "index": [6, 2], "id": ["six", "two"]}
    record = project_prototypes(model, [batch])
    assert places(record) == [(6, 0, 0), (2, 0, 0)]
    expected = torch.tensor([[0.2], [0.8]], device=device).sigmoid()
    assert torch.equal(model.prototype_layer.prototypes.detach(), expected)
    assert record.provenance == model.provenance
    first, second = model.provenance
    assert (first.projected, first.image_id, first.row, first.col) == (True, "six", 0, 0)
    assert (second.image_index, second.image_id) == (2, "two")
    assert (first.grid, first.patch) == ((2, 2), (0, 0, 2, 2))
    moved = torch.tensor([0.1, 0.2]).sigmoid().double().diff().square().item()
    assert first.distance == pytest.approx(moved, rel=1e-5)


def test_an_exact_hit_has_the_highest_activation_after() -> None:
    model = colour_model(TWO).eval()
    images, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 2, (2, 4, 5))
    project_prototypes(model, [(images, labels)])
    activations = model(images).activations
    for number, entry in enumerate(model.provenance):
        hit = activations[entry.image_index, number, entry.row, entry.col]
        assert hit.item() == pytest.approx(math.log(1e4), abs=0.01)


def test_labels_are_sampled_at_the_centres() -> None:
    # Grid pixel i of two covers label pixels 3i to 3i + 2; its centre is 3i + 1.
    model = colour_model(TWO)
    set_prototypes(model, [0.5, 0.5])
    images = images_of([[0.5, 0.6]])
    labels = torch.full((1, 3, 6), VOID)
    labels[0, 1, 1], labels[0, 1, 4] = 1, 0
    labels[0, 0, :], labels[0, 2, :] = 0, 1
    assert places(project_prototypes(model, [(images, labels)])) == [(0, 0, 1), (0, 0, 0)]


def test_boxes_are_in_pixels_of_the_labels() -> None:
    model = colour_model(TWO, stride=4)
    images = torch.randn(2, 3, 20, 28)  # a grid of 5 x 7
    labels = torch.randint(0, 2, (2, 33, 50))
    project_prototypes(model, [(images, labels)])
    for entry in model.provenance:
        assert entry.grid == (5, 7)
        assert entry.patch == patch_box(entry.row, entry.col, (5, 7), (33, 50))
        inner, outer = entry.patch, entry.active_region
        assert 0 <= outer[0] <= inner[0] < inner[2] <= outer[2] <= 33
        assert 0 <= outer[1] <= inner[1] < inner[3] <= outer[3] <= 50


def test_active_region_is_of_the_prototype_before_it_moved() -> None:
    # The old prototype is nearest to 0.5 and near to 0.55; only the blob around it is active.
    one = PrototypeTable([0], [RED], num_classes=1, num_scales=3)
    model = colour_model(one)
    set_prototypes(model, [0.5])
    image = torch.linspace(2, 3, 400).view(20, 20)
    image[3:7, 4:9] = 0.55
    image[5, 6] = 0.51
    image[15, 15] = 0.55
    project_prototypes(model, [(images_of(image.tolist()), torch.zeros(1, 20, 20).long())])
    (entry,) = model.provenance
    assert (entry.row, entry.col) == (5, 6)
    assert entry.active_region == (3, 4, 7, 9)


def test_duplicates_go_from_the_whole_model() -> None:
    table = PrototypeTable([0, 1, 0, 1], [RED, RED, GREEN, RED], num_classes=2, num_scales=3)
    model = colour_model(table)
    images = images_of([[0.5, 0.5, 0.9]])
    labels = torch.tensor([[[0, 1, 1]]])
    set_prototypes(model, [0.5, 0.5, 0.5, 0.9])
    weight = torch.randn(2, 4)
    model.head.weight.data.copy_(weight)
    record = project_prototypes(model, [(images, labels)])
    assert len(record.image_index) == 4
    assert record.kept.tolist() == [0, 2, 3]
    assert model.table == model.head.table == table.keep([0, 2, 3])
    assert torch.equal(model.head.weight.detach(), weight[:, [0, 2, 3]])
    assert [entry.col for entry in model.provenance] == [0, 0, 2]
    assert model.logits(images).shape == (1, 2, 1, 3)


@pytest.mark.parametrize(("names", "said"), [(None, "1, 2"), (("road", "car", "sky"), "car, sky")])
def test_a_class_that_never_occurs_is_named_in_a_warning(
    names: tuple[str, ...] | None, said: str
) -> None:
    table = PrototypeTable([1, 0, 2], [RED, RED, GREEN], num_classes=3, num_scales=3)
    model = colour_model(table, class_names=names)
    set_prototypes(model, [0.3, 0.4, 0.6])
    batch = (images_of([[0.5]]), torch.zeros(1, 1, 1).long())
    with pytest.warns(UserWarning, match=f"no pixel has class {said}: ") as warned:
        record = project_prototypes(model, [batch])
    assert warned[0].filename == __file__
    colours = torch.tensor([[0.3], [0.5], [0.6]])
    assert torch.equal(model.prototype_layer.prototypes.detach(), colours.sigmoid())
    assert [entry.projected for entry in model.provenance] == [False, True, False]
    assert model.provenance[0].patch is None
    assert record.projected.tolist() == [False, True, False]


def test_all_classes_occurring_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        project_prototypes(colour_model(TWO), [(images_of([[0.1, 0.2]]), torch.tensor([[[0, 1]]]))])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]])
@pytest.mark.parametrize("size", [1, 4, 6])
def test_any_order_and_batching_gives_the_same_record(order: list[int], size: int) -> None:
    images = torch.randint(0, 3, (6, 3, 3, 4)) / 4  # few colours, so that there are many ties
    labels = torch.randint(0, 2, (6, 3, 4))
    table = PrototypeTable.regular(num_classes=2, num_scales=3, per_scale=2)
    records = []
    for chosen, step in (([0, 1, 2, 3, 4, 5], 6), (order, size)):
        model = colour_model(table)
        set_prototypes(model, [i / 12 for i in range(12)])
        indices = [chosen[start : start + step] for start in range(0, 6, step)]
        batches = [(images[i], labels[i], torch.tensor(i)) for i in indices]
        records.append((project_prototypes(model, batches), model.prototype_layer.prototypes))
    assert_same_record(records[0][0], records[1][0])
    assert torch.equal(records[0][1], records[1][1])


def test_images_of_several_sizes() -> None:
    model = colour_model(TWO)
    set_prototypes(model, [0.5, 0.6])
    small = (images_of([[0.5]]), torch.tensor([[[0]]]))
    wide = (images_of([[0.8, 0.6, 0.7]]), torch.full((1, 2, 6), 1))
    record = project_prototypes(model, [small, wide])
    assert places(record) == [(0, 0, 0), (1, 0, 1)]
    assert [entry.grid for entry in model.provenance] == [(1, 1), (1, 3)]
    assert [entry.patch for entry in model.provenance] == [(0, 0, 1, 1), (0, 2, 2, 5)]


def as_pairs(images: Tensor, labels: Tensor) -> list[Any]:
    return [(images[:2], labels[:2]), [images[2:], labels[2:]]]


def as_triples(images: Tensor, labels: Tensor) -> list[Any]:
    return [(images[2:], labels[2:], torch.tensor([2])), (images[:2], labels[:2], [0, 1])]


def as_mappings(images: Tensor, labels: Tensor) -> list[Any]:
    return [
        {"image": images[2:], "labels": labels[2:], "index": torch.tensor([2])},
        {"image": images[:2], "labels": labels[:2], "index": [0, 1], "other": None},
    ]


def as_mappings_without_indices(images: Tensor, labels: Tensor) -> list[Any]:
    return [
        {"image": images[:2], "labels": labels[:2]},
        {"image": images[2:], "labels": labels[2:]},
    ]


@pytest.mark.parametrize("form", [as_pairs, as_triples, as_mappings, as_mappings_without_indices])
def test_forms_of_a_batch(form: Any) -> None:
    images, labels = torch.randn(3, 3, 3, 4), torch.randint(0, 2, (3, 3, 4))
    expected = colour_model(TWO)
    set_prototypes(expected, [0.1, 0.9])
    model = colour_model(TWO)
    set_prototypes(model, [0.1, 0.9])
    record = project_prototypes(expected, [(images, labels, [0, 1, 2])])
    assert_same_record(project_prototypes(model, iter(form(images, labels))), record)
    assert [entry.image_id for entry in model.provenance] == [
        str(entry.image_index) for entry in model.provenance
    ]


def test_projecting_again_moves_nothing() -> None:
    model = colour_model(PrototypeTable.regular(2, 3, 2))
    batches = [(torch.randn(2, 3, 3, 4), torch.randint(0, 2, (2, 3, 4)))]
    first = project_prototypes(model, batches)
    vectors = model.prototype_layer.prototypes.detach().clone()
    second = project_prototypes(model, batches)
    assert torch.equal(model.prototype_layer.prototypes.detach(), vectors)
    assert second.distance.tolist() == [0.0] * len(model.table)
    kept = first.kept.tolist()
    assert places(second) == [places(first)[i] for i in kept]


@pytest.mark.parametrize("training", [False, True])
def test_mode_and_batchnorm_are_left_alone(training: bool) -> None:
    model = small_model().train(training)
    before, statistics = modes(model), batchnorm_state(model)
    project_prototypes(model, [(torch.randn(2, 3, 16, 20), torch.randint(0, 3, (2, 16, 20)))])
    assert modes(model) == before
    assert all(map(torch.equal, batchnorm_state(model), statistics))
    assert all(p.requires_grad for p in model.parameters())
    assert model.prototype_layer.prototypes.grad_fn is None


def test_images_are_seen_as_in_evaluation() -> None:
    model = small_model(input_scales=(0.5,)).train()
    images, labels = torch.randn(2, 3, 16, 20), torch.randint(0, 3, (2, 16, 20))
    project_prototypes(model, [(images, labels)])
    embedding = model.eval().embed(images)
    for number, entry in enumerate(model.provenance):
        scale = int(model.table.scale_index[number])
        patch = embedding[entry.image_index, scale, :, entry.row, entry.col]
        assert torch.equal(patch, model.prototype_layer.prototypes[number])


def test_record_survives_the_folder(tmp_path: Path) -> None:
    model = colour_model(TWO)
    batch = (torch.randn(2, 3, 3, 4), torch.randint(0, 2, (2, 3, 4)))
    project_prototypes(model, [batch])
    model.save_pretrained(tmp_path)
    assert loaded_colours(tmp_path).provenance == model.provenance


# --- what cannot be projected on


def test_stage_2_is_an_error() -> None:
    model = colour_model(TWO).group()
    with pytest.raises(ValueError, match=r"stage 2: project before model\.group"):
        project_prototypes(model, [(images_of([[0.5]]), torch.zeros(1, 1, 1).long())])


def test_an_empty_loader_is_an_error_that_changes_nothing() -> None:
    model = colour_model(TWO)
    before = model.prototype_layer.prototypes.detach().clone()
    with pytest.raises(ValueError, match="there was no batch: pass a loader"):
        project_prototypes(model, [])
    assert torch.equal(model.prototype_layer.prototypes.detach(), before)
    assert model.provenance is None


PIXEL = torch.zeros(1, 3, 1, 1)
LABEL = torch.zeros(1, 1, 1, dtype=torch.long)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((PIXEL,), ValueError, r"a batch has 1 parts, expected \(images, labels\)"),
        ((PIXEL, LABEL, [0], ["a"]), ValueError, r"a batch has 4 parts, expected"),
        ({"image": PIXEL}, ValueError, 'no "labels"'),
        ({"images": PIXEL, "labels": LABEL}, ValueError, 'no "image"'),
        (torch.zeros(2, 3, 4, 4), TypeError, "batch is a Tensor, expected"),
        ((PIXEL, LABEL[None]), ValueError, r"labels: got shape \(1, 1, 1, 1\), expected \(batch"),
        ((PIXEL, LABEL.expand(2, 1, 1)), ValueError, r"labels: got shape \(2, 1, 1\), expected"),
        ((PIXEL, LABEL, [0, 1]), ValueError, r"image_indices is \[0, 1\], expected 1"),
        ((PIXEL, LABEL + 7), ValueError, "labels hold 7; expected classes 0 to 1"),
        ((PIXEL, LABEL.float()), TypeError, r"labels: got torch\.float32, expected integers"),
        ((PIXEL.byte(), LABEL), TypeError, r"torch\.uint8.*divide colours by 255"),
    ],
)
def test_batches_that_are_none(batch: Any, error: type[Exception], message: str) -> None:
    model = colour_model(TWO).train()
    before = model.prototype_layer.prototypes.detach().clone()
    with pytest.raises(error, match=message):
        project_prototypes(model, [batch])
    assert model.training
    assert torch.equal(model.prototype_layer.prototypes.detach(), before)


# --- finiteness


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_image_that_is_not_finite_is_named(value: float) -> None:
    model = small_model()
    before = model.prototype_layer.prototypes.detach().clone()
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 3, (2, 16, 16))
    images[1, 0, 0, 0] = value
    batch = {"image": images, "labels": labels, "id": ["bern", "bonn"]}
    with pytest.raises(ValueError, match="the image bonn has values that are NaN or infinite"):
        project_prototypes(model, [batch])
    assert torch.equal(model.prototype_layer.prototypes, before)
    assert model.provenance is None


def test_a_model_that_is_not_finite_is_not_projected() -> None:
    model = small_model()
    model.backbone.module.convolution.bias.data[3] = math.nan
    with pytest.raises(ValueError, match=r"backbone\.module\.convolution\.bias \(1 of 12 values\)"):
        project_prototypes(model, [(torch.rand(1, 3, 16, 16), torch.zeros(1, 16, 16).long())])


@pytest.mark.parametrize("index", [[0.5, 1.5], "ab", [None, None]])
def test_indices_that_are_no_numbers(index: Any) -> None:
    batch = {"image": torch.rand(2, 3, 16, 20), "labels": torch.zeros(2, 16, 20).long()}
    with pytest.raises((TypeError, ValueError), match=r"batches: image_indices is .*expected"):
        project_prototypes(small_model(), [{**batch, "index": index}])


def test_one_name_per_image() -> None:
    batch = {"image": torch.rand(2, 3, 16, 20), "labels": torch.zeros(2, 16, 20).long()}
    with pytest.raises(ValueError, match="1 names for 2 images"):
        project_prototypes(small_model(), [{**batch, "id": ["a"]}])
