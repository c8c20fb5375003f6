"""Tallies of images and the scores of classes, against loops and torchmetrics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics.segmentation.tallies import (
    class_scores,
    grouped_tallies,
    image_tallies,
    mean_iou_interval,
)
from tests.cases import VOID


def drawn(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    predicted, labels = torch.randint(classes, (2, 4, 5, 6), generator=generator)
    labels[0, 0] = VOID
    return predicted, labels


@given(st.integers(0, 2**31))
def test_tallies_by_a_loop(seed: int) -> None:
    predicted, labels = drawn(seed)
    tallies = image_tallies(predicted, labels, 4, VOID)
    for image in range(4):
        for number in range(4):
            labelled = labels[image] == number
            said = (predicted[image] == number) & (labels[image] != VOID)
            counts = [int((labelled & said).sum()), int(labelled.sum()), int(said.sum())]
            assert tallies[image, :, number].tolist() == counts


@given(st.integers(0, 2**31))
def test_scores_are_those_of_torchmetrics(seed: int) -> None:
    from torchmetrics.functional.classification import (
        multiclass_f1_score,
        multiclass_jaccard_index,
        multiclass_precision,
        multiclass_recall,
    )

    predicted, labels = drawn(seed)
    # torchmetrics gives a class without pixels 0, where ours is undefined.
    labels.view(-1)[-3:] = predicted.view(-1)[-3:] = torch.arange(3)
    scores = class_scores(image_tallies(predicted, labels, 3, VOID).sum(0))
    for ours, theirs in (
        (scores.iou, multiclass_jaccard_index),
        (scores.dice, multiclass_f1_score),
        (scores.precision, multiclass_precision),
        (scores.recall, multiclass_recall),
    ):
        expected = theirs(predicted, labels, 3, average="none", ignore_index=VOID)
        torch.testing.assert_close(ours, expected)


def test_scores_without_a_denominator_are_nan() -> None:
    # Never predicted; never labelled; neither.
    scores = class_scores(torch.tensor([[0, 0, 0], [3, 0, 0], [0, 3, 0]]))
    nan = torch.nan
    for values, expected in zip(
        scores, ([0, 0, nan], [0, 0, nan], [nan, 0, nan], [0, nan, nan]), strict=True
    ):
        torch.testing.assert_close(values, torch.tensor(expected).float(), equal_nan=True)


def test_images_of_a_group_are_one_and_those_without_labels_none() -> None:
    tallies = torch.randint(1, 9, (6, 3, 2)).double()
    tallies[4:] = 0
    indices = torch.tensor([3, 0, 5, 8, 9, 2])
    assert torch.equal(grouped_tallies(indices, tallies), tallies[:4])
    videos = {3: "a", 0: "b", 5: "a", 8: "c", 9: "c", 2: "d"}
    grouped = grouped_tallies(indices, tallies, videos.__getitem__)
    assert torch.equal(grouped, torch.stack([tallies[0] + tallies[2], tallies[1], tallies[3]]))


def test_copies_of_an_image_in_a_group_do_not_narrow_the_interval() -> None:
    tallies = torch.randint(1, 9, (8, 1, 3)).double().expand(-1, 3, -1) + torch.eye(3)[1][:, None]
    indices = torch.arange(16)
    once = mean_iou_interval(grouped_tallies(indices[:8], tallies))
    twice = grouped_tallies(indices, torch.cat([tallies, tallies]), lambda index: index % 8)
    assert mean_iou_interval(twice) == pytest.approx(once)
    assert once is not None
    assert once[0] < once[1]


def test_the_interval_stays_within_0_and_1() -> None:
    tallies = torch.tensor([[[9.0, 9], [9, 9], [9, 9]]] * 9 + [[[0, 0], [9, 9], [9, 9]]]).double()
    low, high = mean_iou_interval(tallies) or (0, 0)
    assert 0.4 < low < 0.82 < high <= 1
    assert mean_iou_interval(tallies[-1:].repeat(6, 1, 1)) == (0, 0)
