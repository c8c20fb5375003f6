from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from protoxai import LinearSegmenter
from protoxai.attribution import SegmentationTarget
from tests.attribution.toys import Colours, some_tasks
from tests.toys import Trunk, small_model

LOGITS = torch.tensor([[[[1.0, 2], [3, 4]], [[0, 0], [0, 8]]]])
REGION = torch.tensor([[[True, False], [False, True]]])


class Returns(nn.Module):
    """A model that returns fixed logits in some form."""

    def __init__(self, wrap) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, images):
        return self.wrap(LOGITS.expand(len(images), -1, -1, -1))


def score(target: nn.Module, class_index: int = 0) -> torch.Tensor:
    return target(torch.zeros(1, 3, 2, 2), REGION, torch.tensor([class_index]))


@pytest.mark.parametrize(
    ("reduction", "output", "class_index", "expected"),
    [
        ("mean", "logits", 0, 2.5),
        ("sum", "logits", 0, 5.0),
        ("mean", "logits", 1, 4.0),
        ("sum", "softmax", 0, 0.7310585786 + 0.0179862100),
        ("mean", "softmax", 1, (0.2689414214 + 0.9820137900) / 2),
    ],
)
def test_score_by_hand(reduction: str, output: str, class_index: int, expected: float) -> None:
    target = SegmentationTarget(Returns(lambda logits: logits), reduction, output)
    torch.testing.assert_close(score(target, class_index), torch.tensor([expected]))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: OrderedDict(out=logits, aux=logits * 0),
        lambda logits: {"logits": logits},
        lambda logits: [logits, logits * 0],
        lambda logits: (logits, logits * 0),
        lambda logits: SimpleNamespace(logits=logits),
        lambda logits: ({"out": logits},),
    ],
)
def test_logits_are_found_in_what_models_return(wrap) -> None:
    torch.testing.assert_close(score(SegmentationTarget(Returns(wrap))), torch.tensor([2.5]))


@pytest.mark.parametrize("output", ["logits", "softmax"])
@pytest.mark.parametrize("kind", ["prototypes", "linear"])
def test_our_models_at_the_size_of_the_image(kind: str, output: str) -> None:
    model = small_model() if kind == "prototypes" else LinearSegmenter(Trunk(), 3)
    model.eval()
    images, region, classes = some_tasks((16, 20), (0, 2))
    result = SegmentationTarget(model, output=output)(images, region, classes)
    maps = F.interpolate(model(images).logits, (16, 20), mode="bilinear", align_corners=False)
    maps = maps.softmax(1) if output == "softmax" else maps
    expected = [maps[i, c][region[i]].mean() for i, c in enumerate(classes)]
    torch.testing.assert_close(result, torch.stack(expected))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_empty_region_is_undefined_and_leaves_the_others_alone(reduction: str) -> None:
    target = SegmentationTarget(Colours([[1.0, 1, 1], [0, 0, 1]]), reduction)
    images, region, classes = some_tasks()
    region[0] = False
    result = target(images, region, classes)
    assert result[0].isnan()
    torch.testing.assert_close(result[1:], target(images[1:], region[1:], classes[1:]))


def test_repeated_images_are_separate_tasks() -> None:
    target = SegmentationTarget(Colours([[1.0, 1, 1], [0, 0, 1]]))
    batch = some_tasks()
    once = target(*batch)
    torch.testing.assert_close(target(*(torch.cat([part] * 3) for part in batch)), once.repeat(3))
    interleaved = target(*(part.repeat_interleave(3, 0) for part in batch))
    torch.testing.assert_close(interleaved, once.repeat_interleave(3))


def test_logits_elsewhere_than_the_class_are_not_resized(monkeypatch) -> None:
    sizes = []
    original = F.interpolate

    def spy(maps, **options):
        sizes.append(maps.shape)
        return original(maps, **options)

    target = SegmentationTarget(nn.Conv2d(3, 50, 3, stride=4, padding=1))
    monkeypatch.setattr(F, "interpolate", spy)
    target(*some_tasks())
    assert sizes == [(2, 1, 2, 2)]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({0: torch.zeros(3, 8, 8)}, ValueError, r"image\[None\]"),
        ({0: torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, TypeError, r"uint8.*/ 255"),
        ({0: torch.zeros(0, 3, 8, 8)}, ValueError, "at least one pixel"),
        ({1: torch.ones(2, 8, 8)}, TypeError, "float32, expected bool"),
        (
            {1: torch.ones(1, 8, 8, dtype=torch.bool)},
            ValueError,
            r"\(1, 8, 8\).*\(batch=2, height=8",
        ),
        (
            {1: torch.ones(2, 4, 4, dtype=torch.bool)},
            ValueError,
            r"\(2, 4, 4\).*\(batch=2, height=8",
        ),
        ({2: torch.tensor([0.0, 1.0])}, TypeError, "float32, expected integers"),
        ({2: torch.tensor(1)}, ValueError, r"one class per image"),
        ({2: torch.tensor([0, 2])}, ValueError, "holds 2, expected 0 to 1"),
        ({2: torch.tensor([-1, 0])}, ValueError, "holds -1, expected 0 to 1"),
    ],
)
def test_tasks_that_do_not_fit_are_refused(change, error, message: str) -> None:
    batch = list(some_tasks())
    for place, value in change.items():
        batch[place] = value
    with pytest.raises(error, match=message):
        SegmentationTarget(Colours([[1.0, 1, 1], [0, 0, 1]]))(*batch)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: {"mask": logits}, r"\['mask'\].*'out' or 'logits'"),
        (lambda logits: logits[0], r"\(2, 2, 2\), expected logits"),
        (lambda logits: [], "list, expected logits"),
    ],
)
def test_an_output_without_logits_is_refused(wrap, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        score(SegmentationTarget(Returns(wrap)))


@pytest.mark.parametrize("option", ["reduction", "output"])
def test_unknown_options_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'median', expected one of"):
        SegmentationTarget(nn.Identity(), **{option: "median"})


def test_device(device: torch.device) -> None:
    target = SegmentationTarget(Colours([[1.0, 1, 1], [0, 0, 1]])).to(device)
    batch = some_tasks()
    result = target(batch[0].to(device), batch[1].to(device), batch[2])
    torch.testing.assert_close(result.cpu(), target.cpu()(*batch))


def test_representation_is_the_call() -> None:
    target = SegmentationTarget(nn.Conv2d(3, 5, 1), output="softmax")
    assert repr(target) == (
        "SegmentationTarget(model=Conv2d(...), reduction='mean', output='softmax')"
    )
