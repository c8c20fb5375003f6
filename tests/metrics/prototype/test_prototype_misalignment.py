import math

import pytest
import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, ScaleProtoSeg
from protoxai.attribution import prototype_evidence, region_weights
from protoxai.images import normalise
from protoxai.metrics import PrototypeMisalignment, active_prototypes, prototype_misalignment
from protoxai.metrics.explanation.imputation import impute
from protoxai.metrics.prototype.shown_regions import control_areas, shown_regions
from tests.toys import colour_model, set_prototypes, small_model

SIZE = (24, 32)


@pytest.fixture(scope="module")
def model() -> ScaleProtoSeg:
    torch.manual_seed(0)
    return small_model(2).eval()


@pytest.fixture(scope="module")
def image(model: ScaleProtoSeg) -> Tensor:
    """Colours of which half are 0 or 1, from where an adversary has a single way."""
    colours = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))
    colours[:, :, ::2] = colours[:, :, ::2].round()
    return normalise(colours, model.mean, model.std)


@pytest.fixture(scope="module")
def region() -> Tensor:
    region = torch.zeros(SIZE, dtype=torch.bool)
    region[3:22, 2:25] = True
    return region


def activation(value: float, prototype: float) -> float:
    """Activation of a prototype at a colour, from the method's formula."""
    distance = float((torch.tensor(value).sigmoid() - torch.tensor(prototype).sigmoid()) ** 2)
    return math.log((distance + 1) / (distance + 1e-4))


def test_values_by_hand() -> None:
    # Features are the pixels themselves; a pixel is close to the prototype, and those around it
    # less so: with them it is what is shown.
    table = PrototypeTable([0, 0], [0, 1], num_classes=1, num_scales=3)
    model = colour_model(table)
    set_prototypes(model, [2.0, 1.0])
    image = torch.zeros(3, 12, 12)
    image[0, 4:7, 4:7], image[1, 6:9, 2:5] = 1, 0.25
    image[0, 5, 5], image[1, 7, 3] = 2, 0.5
    found = prototype_misalignment(model, image, torch.ones(12, 12, dtype=torch.bool), [0, 1])
    # What is shown is all that matters to the peak, and no adversary can reach it.
    for value in (found.kept_by_region - 1, found.lost_to_adversary, found.location_change):
        torch.testing.assert_close(value, torch.zeros(2).double())
    # Without it, the pixel has the colour of all others, as imputed.
    lost = [
        1 - activation(0, 2.0) / activation(2, 2.0),
        1 - activation(0, 1.0) / activation(0.5, 1.0),
    ]
    torch.testing.assert_close(found.lost_without_region.float(), torch.tensor(lost))
    torch.testing.assert_close(found.lost_without_control, torch.zeros(2).double())
    assert found.rank_change.tolist() == [0, 0]


def test_features_of_patches_alone_are_aligned() -> None:
    torch.manual_seed(0)
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 8, stride=8), 2, prototype_dim=4)
    region = torch.ones(48, 48, dtype=torch.bool)
    found = prototype_misalignment(model, torch.rand(3, 48, 48), region, [0, 6, 8], steps=3)
    torch.testing.assert_close(found.kept_by_region, torch.ones(3).double())
    for value in (found.lost_to_adversary, found.location_change, found.rank_change):
        torch.testing.assert_close(value, torch.zeros(3).double())


def loop(
    model: ScaleProtoSeg, image: Tensor, region: Tensor, prototypes: list[int], steps: int
) -> Tensor:
    """The figures one by one, from whole outputs of the model."""
    class_index = int(model.table.class_index[prototypes[0]])
    output = model(image[None])
    shown = shown_regions(output.activations[0, prototypes], region)
    masks = shown.masks(SIZE)
    areas = control_areas(masks, region, seed=3)
    weights = region_weights(region, output.activations.shape[2:])

    def ranks(found: Tensor) -> list[int]:
        means = (prototype_evidence(model.head, found, class_index)[0] * weights).sum((1, 2))
        order = sorted(prototypes, key=lambda p: -float(means[p]))
        return [order.index(p) for p in prototypes]

    rows = []
    for place, prototype in enumerate(prototypes):
        row, col = int(shown.rows[place]), int(shown.cols[place])

        def at(images: Tensor, p: int = prototype, r: int = row, c: int = col) -> Tensor:
            return model(images).activations[0, p, r, c]

        before = at(image[None])
        kept, lost, control = (
            at(impute(image[None], known[None])) / before
            for known in (masks[place], ~masks[place], ~areas[place])
        )
        std = torch.tensor(model.std)[:, None, None]
        low, high = ((v - torch.tensor(model.mean)[:, None, None]) / std for v in (0, 1))
        bound = 8 / 255 / std
        changed = image.clone()
        for _ in range(steps):
            changed.requires_grad_()
            (gradient,) = torch.autograd.grad(at(changed[None]), changed)
            step = 2.5 / steps * bound * gradient.sign()
            moved = changed.detach() - step
            moved = torch.minimum(torch.maximum(moved, image - bound), image + bound)
            inside = (image >= low) & (image <= high)
            moved = torch.where(inside, torch.minimum(torch.maximum(moved, low), high), moved)
            moved = torch.where(image < low, torch.maximum(moved, image), moved)
            moved = torch.where(image > high, torch.minimum(moved, image), moved)
            changed = torch.where(masks[place], image, moved)
        after = model(changed[None])
        attacked = after.activations[0, prototype, row, col] / before
        new = shown_regions(after.activations[0, [prototype]], region).masks(SIZE)[0]
        overlap = (new & masks[place]).sum() / (new | masks[place]).sum()
        rank = abs(ranks(after)[place] - ranks(output)[place]) / (len(prototypes) - 1)
        values = [kept, 1 - lost, 1 - control, 1 - attacked, 1 - overlap, rank]
        rows.append([float(torch.as_tensor(value).detach()) for value in values])
    return torch.tensor(rows).T


@pytest.mark.parametrize("grouped", [False, True])
def test_figures_agree_with_a_loop(
    model: ScaleProtoSeg, image: Tensor, region: Tensor, grouped: bool
) -> None:
    if grouped:
        torch.manual_seed(2)
        model = small_model(2).group(2).eval()
    prototypes = [8, 1, 7, 0, 2, 6]
    prototypes = [p for p in prototypes if int(model.table.class_index[p]) == 0]
    assert len(prototypes) > 3
    found = prototype_misalignment(model, image, region, prototypes, steps=6, seed=3, batch_size=2)
    expected = loop(model, image, region, prototypes, steps=6)
    torch.testing.assert_close(torch.stack(found).float(), expected, atol=2e-3, rtol=2e-3)
    # The trunk sees beyond what is shown.
    assert float(found.kept_by_region.mean()) < 0.99
    assert bool((found.lost_to_adversary > 0).all())
    assert float(found.location_change.max()) > 0


def test_the_batch_size_does_not_matter_and_the_mode_is_restored(
    image: Tensor, region: Tensor
) -> None:
    torch.manual_seed(0)
    model = small_model(2).train()
    values = [
        torch.stack(prototype_misalignment(model, image, region, [0, 1], steps=2, batch_size=size))
        for size in (1, 8)
    ]
    torch.testing.assert_close(*values, atol=1e-5, rtol=1e-4)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_figures_that_are_not_defined_are_nan(
    model: ScaleProtoSeg, image: Tensor, region: Tensor
) -> None:
    found = prototype_misalignment(model, image, region, [0], steps=0)
    assert [bool(value.isnan().all()) for value in found] == [False] * 3 + [True] * 3
    assert prototype_misalignment(model, image, region, [0], steps=1).rank_change.isnan()
    # A class of a single patch has no control elsewhere.
    patch = torch.zeros_like(region)
    patch[4:8, 4:8] = True
    found = prototype_misalignment(model, image, patch, [0], steps=0)
    assert found.lost_without_control.isnan()
    assert not found.lost_without_region.isnan()
    # A class between the centres of feature pixels has no peak.
    assert torch.stack(prototype_misalignment(model, image, region & False, [0])).isnan().all()


def test_prototypes_are_of_one_class(model: ScaleProtoSeg, image: Tensor, region: Tensor) -> None:
    other = int((model.table.class_index == 1).nonzero()[0])
    with pytest.raises(ValueError, match=r"of the classes \[0, 1\]"):
        prototype_misalignment(model, image, region, [0, other])
    with pytest.raises(ValueError, match="image has shape"):
        prototype_misalignment(model, image, region[1:], [0])


def test_the_metric_averages_over_active_prototypes(image: Tensor, region: Tensor) -> None:
    torch.manual_seed(3)
    model = small_model(2).group(2)
    weights = model.head.group_weights().clone()
    weights[:, :] = 0
    own = (model.table.class_index == 0).nonzero().flatten()
    weights[model.head.group_class == 0] = torch.zeros(len(model.table)).scatter(
        0, own[:2], torch.tensor([0.96, 0.04])
    )
    weights[0, own[:3]] = torch.tensor([0.5, 0.0, 0.5])
    other = (model.table.class_index == 1).nonzero().flatten()
    weights[model.head.group_class == 1] = torch.zeros(len(model.table)).scatter(
        0, other[:1], torch.tensor([1.0])
    )
    model.head.set_group_weights(weights)
    active = [int(p) for p in active_prototypes(model.head) if p in own]
    assert active == own[[0, 2]].tolist()
    metric = PrototypeMisalignment(steps=2, seed=5)
    metric.update(model, image[None], region[None], 0, index=4)
    metric.update(model, image, region & False, 1, index=9)
    expected = prototype_misalignment(model, image, region, active, steps=2, seed=9)
    indices, values = metric.per_image()
    assert indices.tolist() == [4, 9]
    torch.testing.assert_close(values[0], torch.stack(expected).mean(1), atol=0, rtol=0)
    assert bool(values[1].isnan().all())
    figures = metric.compute()
    assert figures["kept_by_region"].undefined == 1
    assert list(figures) == list(PrototypeMisalignment.figures)
