from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai import LinearSegmenter
from protoxai.evaluation import evaluate, sliding_logits
from tests.evaluation.toys import ReadsLogits
from tests.toys import Trunk

# Columns 2 and 3 of 6 lie in two windows, the others in one.
UNEVEN = {"window": (1, 4), "stride": (1, 3)}


@pytest.mark.parametrize(
    ("window", "stride"),
    [((4, 6), (3, 2)), ((9, 11), (9, 11)), ((5, 20), (1, 4)), ((3, 3), (3, 3))],
)
def test_overlapping_windows_are_averaged(window: tuple[int, int], stride: tuple[int, int]) -> None:
    images = torch.randn(2, 3, 9, 11)
    torch.testing.assert_close(sliding_logits(ReadsLogits(), images, window, stride), images)


def test_windows_by_hand() -> None:
    class Position(ReadsLogits):
        """The logit is the column within the window."""

        def logits(self, images: Tensor) -> Tensor:
            return torch.arange(images.shape[3]).float().expand_as(images)

    logits = sliding_logits(Position(), torch.zeros(1, 3, 1, 6), **UNEVEN)
    # The windows start at columns 0 and 2.
    assert logits[0, 0, 0].tolist() == [0, 1, (2 + 0) / 2, (3 + 1) / 2, 2, 3]


def test_overlap_does_not_change_labels_between_pixels() -> None:
    image = torch.zeros(1, 3, 1, 6)
    image[:, 0, :, :4] = 1
    image[:, 1, :, 4:] = 1.1
    labels = F.interpolate(image, size=(1, 24), mode="bilinear", align_corners=False).argmax(1)
    # A sum over windows gives column 3 twice the weight of column 4, and so moves the edge.
    summed = image * torch.tensor([1.0, 1, 2, 2, 1, 1])
    moved = F.interpolate(summed, size=(1, 24), mode="bilinear", align_corners=False).argmax(1)
    assert not torch.equal(labels, moved)
    model = ReadsLogits().eval()
    batch = {"image": image, "labels": labels}
    scores = evaluate(model, [batch], logits_of=partial(sliding_logits, model, **UNEVEN))
    assert scores.pixel_accuracy == 1


def test_every_window_has_its_full_size() -> None:
    model = ReadsLogits()
    sliding_logits(model, torch.zeros(1, 3, 9, 11), (4, 6), (3, 4))
    assert model.sizes == [(4, 6)] * 3 * 3
    model.sizes.clear()
    sliding_logits(model, torch.zeros(1, 3, 9, 11), (40, 60), (3, 4))
    assert model.sizes == [(9, 11)]


def test_logits_are_resized_to_their_window() -> None:
    model = LinearSegmenter(Trunk(), 2, atrous_rates=(1, 2)).eval()
    images = torch.randn(1, 3, 16, 24)
    left, right = (
        F.interpolate(
            model.logits(part.contiguous()), size=(16, 12), mode="bilinear", align_corners=False
        )
        for part in images.split(12, 3)
    )
    logits = sliding_logits(model, images, (16, 12), (16, 12))
    torch.testing.assert_close(logits, torch.cat([left, right], 3))
    assert not logits.requires_grad


@pytest.mark.parametrize("stride", [(5, 4), (4, 7), (0, 4), (-1, 1)])
def test_strides_that_leave_pixels_out_are_refused(stride: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"stride is .* expected (strides from 1|a whole number)"):
        sliding_logits(ReadsLogits(), torch.zeros(1, 3, 9, 11), (4, 6), stride)
