import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoxai.losses import CrossEntropyLoss, cross_entropy_loss
from tests.cases import VOID, label_maps, maps_of, mean_of, value_and_gradient


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=40)
@given(st.data())
def test_mean_over_labelled_pixels(weighted: bool, data: st.DataObject) -> None:
    labels = data.draw(label_maps(3))
    batch, height, width = labels.shape
    maps = data.draw(maps_of(batch, 3, height, width))
    weight = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)

    def literally(logits: torch.Tensor) -> torch.Tensor:
        terms, sizes = [], []
        for b, row, col in (labels != VOID).nonzero().tolist():
            label = int(labels[b, row, col])
            sizes.append(float(weight[label]) if weighted else 1.0)
            terms.append(-logits[b, :, row, col].log_softmax(0)[label] * sizes[-1])
        return mean_of(terms, logits) * (len(sizes) / sum(sizes) if sizes else 0)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return cross_entropy_loss(logits, labels, class_weight=weight if weighted else None)

    expected, found = value_and_gradient(literally, maps), value_and_gradient(loss, maps)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_loss_gradients() -> None:
    labels = torch.tensor([[[0, 1, VOID]]])
    logits = torch.rand(1, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda logits: cross_entropy_loss(logits, labels), logits)


@pytest.mark.parametrize("weighted", [False, True])
def test_all_void_is_0_with_a_gradient_of_0(weighted: bool) -> None:
    weight = torch.ones(2) if weighted else None
    value, gradient = value_and_gradient(
        lambda logits: cross_entropy_loss(
            logits, torch.full((1, 2, 2), -1), class_weight=weight, ignore_index=-1
        ),
        torch.rand(1, 2, 2, 2),
    )
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_computed_in_float32_under_autocast(dtype: torch.dtype, device: torch.device) -> None:
    logits = torch.rand(1, 2, 2, 2, device=device).to(dtype)
    labels = torch.zeros(1, 2, 2, device=device).long()
    with torch.autocast(device.type, dtype=dtype):
        value = cross_entropy_loss(logits, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, cross_entropy_loss(logits.float(), labels))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
@pytest.mark.parametrize("class_weight", [None, torch.tensor([1.0, 3.0])])
def test_labels_may_be_narrow_integers(
    dtype: torch.dtype, class_weight: torch.Tensor | None
) -> None:
    logits, labels = torch.rand(1, 2, 1, 3), torch.tensor([[[0, 1, VOID]]])
    narrow, wide = (
        cross_entropy_loss(logits, each, class_weight=class_weight)
        for each in (labels.to(dtype), labels)
    )
    assert torch.equal(narrow, wide)


def test_wrong_labels() -> None:
    logits = torch.rand(1, 2, 2, 2)
    with pytest.raises(ValueError, match=r"hold 2;.*classes 0 to 1"):
        cross_entropy_loss(logits, torch.full((1, 2, 2), 2))
    with pytest.raises(ValueError, match=r"ignore_index 1 is one of the 2 classes"):
        cross_entropy_loss(logits, torch.zeros(1, 2, 2).long(), ignore_index=1)
    with pytest.raises(TypeError, match=r"labels: got torch\.float32.*\.long\(\)"):
        cross_entropy_loss(logits, torch.zeros(1, 2, 2))
    for shape in ((1, 4, 4), (2, 2, 2), (2, 2), (1, 1, 2, 2)):
        with pytest.raises(ValueError, match=r"labels have shape .*\(1, 2, 2, 2\).*labels_at"):
            cross_entropy_loss(logits, torch.zeros(shape).long())


def test_class_weights_of_another_number() -> None:
    with pytest.raises(ValueError, match=r"class_weight.*3.*2"):
        cross_entropy_loss(
            torch.rand(1, 2, 2, 2), torch.zeros(1, 2, 2).long(), class_weight=torch.ones(3)
        )


def test_module_is_the_function() -> None:
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    labels[0, 0, 0] = -1
    module = CrossEntropyLoss(class_weight=[0.5, 2, 1], ignore_index=-1)
    weight = torch.tensor([0.5, 2.0, 1.0])
    expected = cross_entropy_loss(logits, labels, class_weight=weight, ignore_index=-1)
    assert torch.equal(module(logits, labels), expected)
    again = eval(repr(module))
    assert repr(again) == repr(module)
    assert torch.equal(again(logits, labels), expected)
    assert repr(CrossEntropyLoss()) == "CrossEntropyLoss(class_weight=None, ignore_index=255)"


def test_weights_that_are_all_0() -> None:
    with pytest.raises(ValueError, match="one of them above 0"):
        CrossEntropyLoss([0.0, 0.0])
    with pytest.raises(ValueError, match="one of them above 0"):
        CrossEntropyLoss(torch.zeros(2))
