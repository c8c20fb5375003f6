"""A model never answers silently where an image, a weight or a result is not finite."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from protoxai import LinearSegmenter, ScaleProtoSeg, explain
from protoxai.attribution import PrototypeAttribution
from protoxai.comparison import Task, compare
from protoxai.evaluation import evaluate, sliding_logits
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.finite import NotFiniteError
from tests.toys import SMALL, Trunk, small_model

IMAGES = torch.randn(2, 3, 16, 16)


def batch_of(images: Tensor) -> dict[str, object]:
    return {"image": images, "labels": torch.zeros(2, 16, 16).long(), "id": ["bern", "bonn"]}


def task_of(images: Tensor) -> Task:
    return Task(7, images[:1], torch.ones(1, 16, 16, dtype=torch.bool), torch.tensor([1]))


USES: dict[str, Callable[[ScaleProtoSeg, Tensor], object]] = {
    "predict": lambda model, images: model.predict(images),
    "logits": lambda model, images: model.logits(images),
    "explain": lambda model, images: explain(model, images[:1]),
    "evaluate": lambda model, images: evaluate(model, [batch_of(images)]),
    "sliding window": lambda model, images: sliding_logits(model, images, (8, 8), (8, 8)),
    "compare": lambda model, images: compare(
        [PrototypeAttribution(model)], [task_of(images)], metrics=["sparseness"]
    ),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_images_are_named(use: str, value: float) -> None:
    images = IMAGES.clone()
    images[0, 1, 15, 15] = value
    name = {"evaluate": "the image bern", "compare": "the image 7"}.get(use, "image 0 of the batch")
    with pytest.raises(NotFiniteError, match=rf"^{name} has values that are NaN or infinite"):
        USES[use](small_model().eval(), images)


@pytest.mark.parametrize("use", ["explain", "evaluate", "compare"])
@pytest.mark.parametrize(
    "name",
    ["backbone.module.normalisation.running_mean", "prototype_layer.prototypes", "head.weight"],
)
def test_models_that_are_not_finite_are_refused(use: str, name: str) -> None:
    model = small_model().eval()
    model.state_dict()[name].view(-1)[0] = math.inf
    with pytest.raises(NotFiniteError, match=rf"NaN or infinite: {name} \(1 of"):
        USES[use](model, IMAGES)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("part", ["prototype_layer.prototypes", "head.weight"])
def test_predict_names_the_weights(part: str, grouped: bool) -> None:
    model = small_model()
    if grouped:
        model.group(2)
    model.state_dict()[part][0] = math.nan
    with pytest.raises(NotFiniteError, match=f"NaN or infinite: {part}"):
        model.predict(IMAGES)


class Overflow(nn.Module):
    """A part that is finite in training and overflows afterwards."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.part(maps)
        return result if self.training else result * 1e38 * 1e38


def overflowing_trunk() -> Segmenter:
    return ScaleProtoSeg(Overflow(Trunk()), 3, feature_channels=12, **SMALL)


def overflowing_black_box() -> Segmenter:
    return LinearSegmenter(Overflow(Trunk()), 3, feature_channels=12)


def overflowing_scales() -> Segmenter:
    model = small_model()
    for parameter in model.scales.parameters():
        nn.init.constant_(parameter, 3e38)
    return model


def overflowing_groups() -> Segmenter:
    model = small_model().group(1)
    model.head.weight.data *= 3e38
    return model


@pytest.mark.parametrize(
    ("build", "step"),
    [
        (overflowing_trunk, "level 0 of the backbone's feature maps"),
        (overflowing_black_box, "level 0 of the backbone's feature maps"),
        (overflowing_scales, "the output of the scales"),
        (overflowing_groups, "the logits of the head"),
    ],
)
def test_the_step_that_overflows_is_named(build: Callable[[], Segmenter], step: str) -> None:
    message = f"^{step} of image 0 of the batch has values .* though the image and all weights are"
    with pytest.raises(NotFiniteError, match=message):
        build().predict(IMAGES)


def test_evaluation_names_the_image_of_other_logits() -> None:
    def logits_of(images: Tensor) -> Tensor:
        logits = torch.zeros(2, 3, 4, 4)
        logits[1] = math.nan
        return logits

    with pytest.raises(NotFiniteError, match=r"^logits of the image bonn"):
        evaluate(small_model(), [batch_of(IMAGES)], logits_of=logits_of)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, value: float) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 3, pretrained=False, **SMALL)
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model.head.weight.data[0, 0] = value
    with pytest.raises(NotFiniteError, match=r"the model to save.*head\.weight \(1 of"):
        model.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_that_are_not_finite_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScaleProtoSeg("timm/test_resnet", 3, pretrained=False, **SMALL)
    model.prototype_layer.prototypes.data[2] = math.nan
    with monkeypatch.context() as patched:
        patched.setattr("protoxai.model.saving.check_finite_weights", lambda *_: None)
        model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"NaN or infinite: prototype_layer\.prototypes \(4 of"):
        ScaleProtoSeg.from_pretrained(tmp_path)


def test_altered_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    ScaleProtoSeg("timm/test_resnet", 3, pretrained=False, **SMALL).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["head.weight"][:] = math.inf
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"altered.*NaN or infinite: head\.weight"):
        ScaleProtoSeg.from_pretrained(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_compiled_and_traced_models_are_not_checked() -> None:
    model = small_model().eval()
    compiled = torch.compile(model.logits, backend="eager", fullgraph=True)
    assert compiled(IMAGES).isfinite().all()
