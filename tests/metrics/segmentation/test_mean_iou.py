import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import MeanIoU, iou_per_class, mean_iou
from tests.cases import VOID


def test_by_hand_with_void_and_an_absent_class() -> None:
    labels = torch.tensor([[0, 0, 0, 1], [1, VOID, VOID, 1]])
    predicted = torch.tensor([[0, 0, 1, 1], [1, 0, 1, 3]])
    metric = MeanIoU(num_classes=4)
    metric.update(predicted, labels)
    # Class 0: 2 of 3; class 1: 2 of 4; class 2: neither labelled nor predicted; class 3: 0 of 1.
    torch.testing.assert_close(
        metric.per_class(), torch.tensor([2 / 3, 1 / 2, torch.nan, 0.0]), equal_nan=True
    )
    torch.testing.assert_close(metric.compute(), torch.tensor((2 / 3 + 1 / 2) / 3))


def test_a_class_only_predicted_counts_as_zero() -> None:
    metric = MeanIoU(num_classes=3)
    metric.update(torch.tensor([0, 2]), torch.tensor([0, 0]))
    torch.testing.assert_close(metric.compute(), torch.tensor((1 / 2 + 0) / 2))


def test_another_ignore_value() -> None:
    metric = MeanIoU(num_classes=2, ignore_index=-1)
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, -1, 1]))
    assert metric.compute() == 1


def test_nothing_labelled_is_undefined() -> None:
    metric = MeanIoU(num_classes=2)
    metric.update(torch.tensor([0, 1]), torch.tensor([VOID, VOID]))
    assert metric.compute().isnan()


def test_large_counts_stay_exact() -> None:
    # In float32 these counts would be equal.
    confusion = torch.tensor([[2**24, 1], [0, 2**24]])
    expected = torch.tensor([2**24 / (2**24 + 1)] * 2, dtype=torch.float64).float()
    assert torch.equal(iou_per_class(confusion), expected)
    assert iou_per_class(torch.tensor([[10**12, 0], [10**12, 1]]))[0] == 0.5


@given(st.integers(2, 5), st.integers(0, 2**31))
def test_agrees_with_torchmetrics_and_adds_up_over_batches(classes: int, seed: int) -> None:
    from torchmetrics.classification import MulticlassJaccardIndex

    generator = torch.Generator().manual_seed(seed)
    shape = (4, 5, 6)
    labels = torch.randint(0, classes, shape, generator=generator)
    predicted = torch.randint(0, classes, shape, generator=generator)
    # Every class occurs: those that do not are where the two differ.
    labels.view(-1)[:classes] = torch.arange(classes)
    labels.view(-1)[classes : classes + 7] = VOID

    together, batches, other = (MeanIoU(classes) for _ in range(3))
    together.update(predicted, labels)
    batches.update(predicted[:1], labels[:1])
    batches.update(predicted[1:], labels[1:])
    reference = MulticlassJaccardIndex(classes, average="none", ignore_index=VOID)
    reference.update(predicted, labels)
    torch.testing.assert_close(together.per_class(), reference.compute())
    assert torch.equal(together.compute(), batches.compute())

    # Processes are merged by summing their confusion matrices.
    other.confmat = sum(
        (lambda m: (m.update(p[None], y[None]), m.confmat)[1])(MeanIoU(classes))
        for p, y in zip(predicted, labels, strict=True)
    )
    torch.testing.assert_close(other.per_class(), together.per_class())


def test_it_is_not_the_mean_over_images() -> None:
    predicted, labels = torch.tensor([[0, 0, 0], [0, 1, 1]]), torch.tensor([[0, 0, 0], [0, 0, 1]])
    metric = MeanIoU(num_classes=2)
    for image in range(2):
        metric.update(predicted[image], labels[image])
    torch.testing.assert_close(metric.compute(), torch.tensor((4 / 5 + 1 / 2) / 2))


def test_reset_and_direction() -> None:
    metric = MeanIoU(num_classes=2)
    metric.update(torch.tensor([0]), torch.tensor([1]))
    metric.reset()
    metric.update(torch.tensor([1]), torch.tensor([1]))
    assert metric.compute() == 1
    assert metric.higher_is_better is True


@pytest.mark.parametrize("wrong", [7, -1])
def test_a_label_out_of_range_is_named(wrong: int) -> None:
    metric = MeanIoU(num_classes=3)
    with pytest.raises(ValueError, match=rf"labels.* hold {wrong}; expected classes 0 to 2"):
        metric.update(torch.tensor([0, 1]), torch.tensor([0, wrong]))


def test_the_ignore_value_is_no_class() -> None:
    with pytest.raises(ValueError, match=r"ignore_index 1 is one of the 3 classes"):
        MeanIoU(num_classes=3, ignore_index=1)


def test_images_with_indices_count_once_and_give_the_same_mean() -> None:
    labels, predicted = torch.randint(0, 3, (2, 6, 4, 5))
    labels[0, 0] = VOID
    together, apart = MeanIoU(num_classes=3), MeanIoU(num_classes=3)
    together.update(predicted, labels)
    apart.update(predicted[:4], labels[:4], torch.arange(4))
    apart.update(torch.nn.functional.one_hot(predicted[4:], 3).permute(0, 3, 1, 2).float(),
                 labels[4:], [4, 5])  # fmt: skip
    torch.testing.assert_close(apart.compute(), together.compute())
    torch.testing.assert_close(apart.per_class(), together.per_class())
    assert torch.equal(apart.confusion(), together.confusion())
    before = apart.interval()
    apart.update(predicted[2:3], labels[2:3], 2)
    torch.testing.assert_close(apart.compute(), together.compute())
    assert apart.interval() == before


def test_the_interval_is_that_of_images_left_out_one_by_one() -> None:
    labels, predicted = torch.randint(0, 3, (2, 8, 4, 5))
    labels[7] = VOID
    metric = MeanIoU(num_classes=3)
    metric.update(predicted, labels, torch.arange(8))
    value = metric.interval()
    assert value.mean == pytest.approx(float(mean_iou(predicted, labels, 3)))
    parts = [[j for j in range(8) if j != i] for i in range(7)]
    left_out = torch.stack([mean_iou(predicted[part], labels[part], 3) for part in parts])
    # Student's quantile for 6 degrees of freedom.
    half = 2.446912 * (6 / 7 * (left_out - left_out.mean()).square().sum()).sqrt()
    assert value.low == pytest.approx(value.mean - float(half), abs=1e-5)
    assert value.high == pytest.approx(value.mean + float(half), abs=1e-5)
    assert (value.tasks, value.undefined) == (7, 1)


def test_images_of_a_group_are_left_out_together() -> None:
    labels, predicted = torch.randint(0, 3, (2, 12, 4, 5))
    metric = MeanIoU(num_classes=3)
    metric.update(predicted, labels, torch.arange(12))
    joined = MeanIoU(num_classes=3)
    joined.update(predicted.view(6, 2, 20), labels.view(6, 2, 20), torch.arange(6))
    grouped = metric.interval(lambda index: f"video {index // 2}")
    assert grouped[:3] == pytest.approx(joined.interval()[:3])
    assert grouped.tasks == 12
    few = metric.interval(lambda index: index // 3)
    assert few.mean == grouped.mean
    assert few.low != few.low
    assert few.high != few.high


def test_an_interval_needs_indices() -> None:
    metric = MeanIoU(num_classes=2)
    metric.update(torch.zeros(2, 3).long(), torch.zeros(2, 3).long(), [0, 1])
    metric.update(torch.ones(1, 3).long(), torch.ones(1, 3).long())
    assert metric.compute() == 1
    with pytest.raises(ValueError, match=r"update\(preds, target, index\)"):
        metric.interval()


def test_the_function_is_the_metric_of_a_single_update() -> None:
    labels = torch.tensor([[0, 0, 0, 1], [1, VOID, VOID, 1]])
    predicted = torch.tensor([[0, 0, 1, 1], [1, 0, 1, 3]])
    expected = torch.tensor((2 / 3 + 1 / 2) / 3)
    torch.testing.assert_close(mean_iou(predicted, labels, num_classes=4), expected)
    scores = torch.nn.functional.one_hot(predicted, 4).movedim(-1, 1).float()
    torch.testing.assert_close(mean_iou(scores, labels, num_classes=4), expected)
    other = labels.masked_fill(labels == VOID, -1)
    torch.testing.assert_close(mean_iou(predicted, other, 4, ignore_index=-1), expected)
    with pytest.raises(ValueError, match="ignore_index 1 is one of the 3 classes"):
        mean_iou(predicted, labels, 3, ignore_index=1)


def test_repr_reproduces_the_call() -> None:
    assert repr(MeanIoU(3)) == "MeanIoU(num_classes=3, ignore_index=255)"
    assert repr(MeanIoU(3, -1)) == "MeanIoU(num_classes=3, ignore_index=-1)"
