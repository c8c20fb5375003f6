import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.speed.measure import peak_memory
from protoxai.model.prediction import CLASSES_AT_ONCE, predicted_labels
from protoxai.runtime.resize import resize
from tests.cases import maps_of

COUNTS = [1, CLASSES_AT_ONCE - 1, CLASSES_AT_ONCE, CLASSES_AT_ONCE + 1, 2 * CLASSES_AT_ONCE + 8]
MEGABYTE = 2**20


def whole_numbers(*shape: int) -> Tensor:
    """Few of them, so that many are equal; halves and quarters of them are exact."""
    return torch.randint(-1, 2, shape).float()


@settings(max_examples=60)
@given(st.data())
def test_label_is_the_class_of_the_largest_resized_logit(data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, 2 * CLASSES_AT_ONCE + 1))
    batch, height, width = (data.draw(st.integers(1, most)) for most in (2, 5, 5))
    logits = data.draw(maps_of(batch, classes, height, width))
    size = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    labels = predicted_labels(logits, size)
    resized = resize(logits, size)
    assert labels.shape == (batch, *size)
    assert labels.dtype == torch.long
    chosen = resized.gather(1, labels[:, None])
    torch.testing.assert_close(chosen, resized.amax(1, keepdim=True), rtol=0, atol=1e-12)


@pytest.mark.parametrize("classes", COUNTS)
@pytest.mark.parametrize("size", [(6, 8), (12, 16), (3, 4)])
def test_first_of_equal_classes(classes: int, size: tuple[int, int], device: torch.device) -> None:
    logits = whole_numbers(3, classes, 6, 8).to(device)
    resized = resize(logits, size)
    largest = resized == resized.amax(1, keepdim=True)
    assert classes == 1 or (largest.sum(1) > 1).any()
    labels = predicted_labels(logits, size)
    assert labels.device.type == device.type
    assert torch.equal(labels, resized.argmax(1))
    assert torch.equal(labels, largest.int().argmax(1))


@pytest.mark.parametrize("first", range(0, 2 * CLASSES_AT_ONCE, 5))
def test_first_of_two_equal_classes_wherever_they_are(first: int) -> None:
    for second in range(first + 1, 2 * CLASSES_AT_ONCE + 1):
        logits = torch.zeros(1, 2 * CLASSES_AT_ONCE + 1, 1, 1)
        logits[:, [first, second]] = 1
        assert (predicted_labels(logits, (2, 3)) == first).all()


def test_every_class_can_win() -> None:
    classes = 2 * CLASSES_AT_ONCE + 3
    logits = torch.eye(classes).view(1, classes, 1, classes) - 5
    assert predicted_labels(logits, (1, classes)).flatten().tolist() == list(range(classes))


def test_logits_that_are_infinite() -> None:
    logits = torch.full((1, CLASSES_AT_ONCE + 1, 1, 2), -torch.inf)
    logits[0, -1, 0, 1] = -1e30
    assert predicted_labels(logits, (1, 2)).tolist() == [[[0, CLASSES_AT_ONCE]]]


@pytest.mark.parametrize("size", [(3, 5), (6, 10)])
def test_layout_in_memory_does_not_matter(size: tuple[int, int]) -> None:
    logits = whole_numbers(2, 20, 3, 5)
    expected = predicted_labels(logits, size)
    last = logits.contiguous(memory_format=torch.channels_last)
    assert torch.equal(predicted_labels(last, size), expected)
    one = logits[:1].expand(2, -1, -1, -1)
    assert torch.equal(predicted_labels(one, size), expected[:1].expand(2, -1, -1))
    assert torch.equal(predicted_labels(logits.repeat_interleave(2, 1)[:, ::2], size), expected)


def test_logits_stay_as_they_are_and_give_no_gradient() -> None:
    logits = torch.randn(1, 20, 3, 5, requires_grad=True)
    before = logits.detach().clone()
    assert not predicted_labels(logits, (3, 5)).requires_grad
    predicted_labels(logits, (6, 5))
    assert torch.equal(logits, before)


def test_no_image() -> None:
    assert predicted_labels(torch.zeros(0, 3, 2, 2), (4, 5)).shape == (0, 4, 5)


def test_memory_grows_neither_with_the_classes_nor_the_images() -> None:
    shapes = [(1, 3 * CLASSES_AT_ONCE), (1, 30 * CLASSES_AT_ONCE), (4, 3 * CLASSES_AT_ONCE)]
    one, more_classes, more_images = (
        peak_memory(lambda: predicted_labels(logits, (64, 64)))  # noqa: B023
        for logits in (torch.randn(*shape, 16, 16) for shape in shapes)
    )
    assert more_classes == one
    # Their labels, and nothing else.
    assert more_images <= one + 4 * 8 * 64 * 64


def test_a_thousand_classes_take_few_maps() -> None:
    logits = torch.randn(1, 1000, 64, 64)
    assert peak_memory(lambda: predicted_labels(logits, (512, 512))) < 60 * MEGABYTE
