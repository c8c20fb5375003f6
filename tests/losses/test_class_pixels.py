"""What holds for every loss over the pixels of a class."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from protoxai import PrototypeTable
from protoxai.losses import (
    ActivationNormLoss,
    PrototypeDiversityLoss,
    SampleEntropyLoss,
    SpatialEntropyLoss,
    activation_norm_loss,
    prototype_diversity_loss,
    sample_entropy_loss,
    spatial_entropy_loss,
)
from protoxai.losses.class_pixels import OwnClassPixels, mean_where
from tests.cases import (
    UNEVEN,
    VOID,
    permutations,
    pixel_sets,
    rearranged,
    segmentations,
    value_and_gradient,
)

Loss = Callable[..., Tensor]

MODULES = {
    prototype_diversity_loss: PrototypeDiversityLoss,
    spatial_entropy_loss: SpatialEntropyLoss,
    sample_entropy_loss: SampleEntropyLoss,
    activation_norm_loss: ActivationNormLoss,
    partial(activation_norm_loss, norm="linf"): partial(ActivationNormLoss, norm="linf"),
}
every_loss = pytest.mark.parametrize("loss", MODULES)


def scene(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Maps of the uneven table and labels: void, absent and empty classes, a class of one pixel."""
    labels = torch.tensor([[[0, 0, 2], [0, 2, VOID]], [[1, 1, 3], [3, 0, 2]]])
    return (torch.rand(2, 8, 2, 3, dtype=torch.float64) * 5).to(dtype), labels


@every_loss
@settings(max_examples=15)
@given(st.data())
def test_permuting_the_table_changes_nothing(loss: Loss, data: st.DataObject) -> None:
    maps, labels, table = data.draw(segmentations())
    order = data.draw(permutations(table))
    permuted = loss(maps[:, order], labels, rearranged(table, order))
    torch.testing.assert_close(permuted, loss(maps, labels, table), rtol=0, atol=1e-10)


@every_loss
@settings(max_examples=15)
@given(st.data())
def test_void_pixels_never_count(loss: Loss, data: st.DataObject) -> None:
    maps, labels, table = data.draw(segmentations())
    value, gradient = value_and_gradient(lambda maps: loss(maps, labels, table), maps)
    void = (labels == VOID)[:, None]
    assert (gradient.where(void, 0) == 0).all()
    loud = maps.masked_fill(void, 1e4)
    torch.testing.assert_close(loss(loud, labels, table), value, rtol=0, atol=1e-10)
    renamed = labels.masked_fill(labels == VOID, -1)
    torch.testing.assert_close(loss(maps, renamed, table, ignore_index=-1), value)


@every_loss
@settings(max_examples=15)
@given(st.data())
def test_values_and_gradients_are_finite(loss: Loss, data: st.DataObject) -> None:
    maps, labels, table = data.draw(segmentations())
    size = data.draw(st.sampled_from([0, 1, 1e2, 1e4]))
    value, gradient = value_and_gradient(
        lambda maps: loss(maps, labels, table), (maps * size).float()
    )
    assert value.isfinite()
    assert gradient.isfinite().all()


@every_loss
def test_loss_gradients(loss: Loss) -> None:
    maps, labels = scene()
    assert torch.autograd.gradcheck(
        lambda maps: loss(maps, labels, UNEVEN), maps.requires_grad_(), atol=1e-7
    )


@every_loss
def test_the_gradient_has_a_gradient(loss: Loss) -> None:
    maps, labels = scene()
    assert torch.autograd.gradgradcheck(
        lambda maps: loss(maps, labels, UNEVEN), maps.requires_grad_(), atol=1e-7
    )


@every_loss
@settings(max_examples=15)
@given(st.data())
def test_torch_func_finds_the_same(loss: Loss, data: st.DataObject) -> None:
    maps, labels, table = data.draw(segmentations())
    value, gradient = value_and_gradient(lambda maps: loss(maps, labels, table), maps)
    found = torch.func.grad_and_value(lambda maps: loss(maps, labels, table))(maps)
    torch.testing.assert_close(found, (gradient, value), rtol=0, atol=1e-10)


@every_loss
def test_maps_may_lie_in_any_order_in_memory(loss: Loss) -> None:
    maps, labels = scene()
    expected = value_and_gradient(lambda maps: loss(maps, labels, UNEVEN), maps)
    last = maps.contiguous(memory_format=torch.channels_last)
    found = value_and_gradient(lambda maps: loss(maps, labels, UNEVEN), last)
    torch.testing.assert_close(found, expected)


@every_loss
@pytest.mark.parametrize(
    "labels",
    [
        torch.full((1, 2, 2), VOID),
        torch.full((1, 1, 1), VOID),
        torch.tensor([[[1, 1], [4, VOID]]]),  # classes without prototypes
    ],
)
def test_nothing_to_average_is_0(loss: Loss, labels: Tensor) -> None:
    maps = torch.rand(1, 8, *labels.shape[1:])
    value, gradient = value_and_gradient(lambda maps: loss(maps, labels, UNEVEN), maps)
    assert value == 0
    assert (gradient == 0).all()


@every_loss
def test_classes_without_prototypes_do_not_thin_the_mean(loss: Loss) -> None:
    maps, labels = scene()
    without = labels.masked_fill(labels == 1, VOID)
    assert loss(maps, labels, UNEVEN) > 0
    torch.testing.assert_close(loss(maps, labels, UNEVEN), loss(maps, without, UNEVEN))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_under_autocast(
    loss: Loss, dtype: torch.dtype, device: torch.device
) -> None:
    maps, labels = (tensor.to(device) for tensor in scene(dtype))
    with torch.autocast(device.type, dtype=dtype):
        value = loss(maps, labels, UNEVEN)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(maps.float(), labels, UNEVEN))


@every_loss
def test_module_is_the_function(loss: Loss) -> None:
    maps, labels = scene()
    module: nn.Module = MODULES[loss](UNEVEN)
    assert torch.equal(module(maps, labels), loss(maps, labels, UNEVEN))
    renamed = labels.masked_fill(labels == VOID, -1)
    module = MODULES[loss](UNEVEN, ignore_index=-1)
    assert torch.equal(module(maps, renamed), loss(maps, labels, UNEVEN))


@every_loss
def test_a_representation_makes_the_same_module(loss: Loss) -> None:
    module = MODULES[loss](UNEVEN, ignore_index=-1)
    again = eval(repr(module), {**globals(), "PrototypeTable": PrototypeTable})
    assert repr(again) == repr(module)
    assert again.table == UNEVEN
    assert again.ignore_index == -1


@every_loss
def test_wrong_label_value(loss: Loss) -> None:
    maps, labels = scene()
    labels[0, 0, 0] = 7
    with pytest.raises(ValueError, match=r"hold 7;.*classes 0 to 4.*ignore value 255"):
        loss(maps, labels, UNEVEN)


@every_loss
def test_ignore_value_inside_the_classes(loss: Loss) -> None:
    with pytest.raises(ValueError, match="ignore_index 3 is one of the 5 classes"):
        loss(*scene(), UNEVEN, ignore_index=3)


@every_loss
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_may_be_narrow_integers(loss: Loss, dtype: torch.dtype) -> None:
    maps, labels = scene()
    assert torch.equal(loss(maps, labels.to(dtype), UNEVEN), loss(maps, labels, UNEVEN))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_wrong_label_type(loss: Loss, dtype: torch.dtype) -> None:
    maps, labels = scene()
    with pytest.raises(TypeError, match=rf"labels: got {dtype}.*int64.*\.long\(\)"):
        loss(maps, labels.to(dtype), UNEVEN)


@every_loss
@pytest.mark.parametrize("shape", [(2, 7, 2, 3), (2, 8, 3, 3), (1, 8, 2, 3), (2, 8, 6)])
def test_maps_that_do_not_fit(loss: Loss, shape: tuple[int, ...]) -> None:
    message = rf"got shape \({shape[0]}, .*expected \(batch=2, prototypes=8, height=2.*labels_at"
    with pytest.raises(ValueError, match=message):
        loss(torch.rand(shape), scene()[1], UNEVEN)


@every_loss
def test_labels_of_another_shape(loss: Loss) -> None:
    maps, labels = scene()
    with pytest.raises(ValueError, match=r"\(2, 1, 2, 3\), expected \(batch, height, width\)"):
        loss(maps, labels[:, None], UNEVEN)


@settings(max_examples=30)
@given(segmentations())
def test_sums_maxima_and_softmax_by_class(case: tuple[Tensor, Tensor, PrototypeTable]) -> None:
    maps, labels, table = case
    own = OwnClassPixels(labels, table, VOID)
    values = maps.flatten(2)
    sums, largest, shares = own.sum(values), own.amax(values), own.log_softmax(values)
    counts = torch.zeros(len(labels), table.num_classes)
    for image, c, pixels in pixel_sets(labels, table.num_classes):
        mine = values[image][:, pixels.flatten()]
        counts[image, c] = pixels.sum()
        torch.testing.assert_close(sums[image, :, c], mine.sum(1), rtol=0, atol=1e-10)
        assert torch.equal(largest[image, :, c], mine.amax(1))
        share = shares[image][:, pixels.flatten()]
        torch.testing.assert_close(share, mine.log_softmax(1), rtol=0, atol=1e-10)
    assert torch.equal(own.pixels, counts)
    absent = (counts == 0)[:, None].expand_as(sums)
    assert (sums[absent] == 0).all()
    assert shares.isfinite().all()


def test_mean_where() -> None:
    values = torch.tensor([[1.0, 2.0], [4.0, torch.nan]], requires_grad=True)
    mean = mean_where(values, torch.tensor([[True, True], [True, False]]))
    assert mean.item() == pytest.approx(7 / 3)
    assert mean_where(values, torch.tensor([[True], [False]])).item() == 1.5
    nowhere = mean_where(values, torch.tensor(False))
    assert nowhere.item() == 0
    nowhere.backward()
    assert (values.grad == 0).all()
