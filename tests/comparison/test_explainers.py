import pytest
import torch
from torch import Tensor, nn

from protoxai import LinearSegmenter
from protoxai.attribution import REFERENCE_MAPS, AttributionMethod, register_explainer
from protoxai.attribution.registry import EXPLAINERS
from protoxai.comparison import compare, explainers_of
from protoxai.comparison.explainers import USUAL_METHODS
from tests.comparison.toys import TASKS, quiet
from tests.toys import small_model


def linear() -> LinearSegmenter:
    return LinearSegmenter(nn.Conv2d(3, 8, 3, stride=8, padding=1), num_classes=3).eval()


def names(*models: nn.Module, methods: list[str] | None = None) -> list[str]:
    return [explainer.name for explainer in explainers_of(models, methods, references=False)]


def test_each_method_explains_the_models_that_it_applies_to() -> None:
    methods = ["prototypes", "Saliency"]
    kind = "ScaleProtoSeg" if small_model().table.num_scales > 1 else "ProtoSeg"
    assert names(small_model(), linear(), methods=methods) == [
        f"{kind}: prototypes",
        f"{kind}: Saliency",
        "DeepLabv2: Saliency",
    ]
    assert names(small_model().group(), methods=["groups"]) == [f"{kind}: groups"]


def test_models_of_one_kind_are_numbered() -> None:
    assert names(linear(), linear(), methods=["Saliency"]) == [
        "DeepLabv2 1: Saliency",
        "DeepLabv2 2: Saliency",
    ]


@pytest.mark.parametrize(
    ("make", "own"),
    [(linear, []), (small_model, ["prototypes"]), (lambda: small_model().group(), ["groups"])],
)
def test_the_default_is_one_explanation_of_the_models_own_and_usual_methods(make, own) -> None:
    methods = [name.split(": ")[1] for name in names(make())]
    assert methods == [*own, *USUAL_METHODS]


def test_a_grouped_model_has_both_units_and_tracing_on_request() -> None:
    asked = ["groups", "prototypes", "evidence_to_pixels"]
    explainers = explainers_of([small_model().group()], asked, references=False)
    assert [e.name.split(": ")[1] for e in explainers] == asked
    assert [(e.units, e.to) for e in explainers] == [
        ("groups", "cells"),
        ("prototypes", "cells"),
        ("groups", "pixels"),
    ]


def test_any_module_is_a_model() -> None:
    model = nn.Conv2d(3, 3, 1)
    assert names(linear(), model, methods=["Saliency"]) == [
        "DeepLabv2: Saliency",
        "Conv2d: Saliency",
    ]
    assert names(model) == [f"Conv2d: {m}" for m in USUAL_METHODS if not m.startswith("Layer")]
    with pytest.raises(ValueError, match=r"LayerGradCam cannot .*\(Conv2d\): .* `backbone` or"):
        explainers_of([model], ["Saliency", "LayerGradCam"])


def test_each_model_has_its_reference_maps() -> None:
    explainers = explainers_of([linear(), linear()], ["Saliency", "edges"])
    assert [e.name for e in explainers if e.name.startswith("DeepLabv2 2")] == [
        "DeepLabv2 2: Saliency",
        "DeepLabv2 2: edges",
        "DeepLabv2 2: logit_map",
        "DeepLabv2 2: predicted_region",
        "DeepLabv2 2: smooth_noise",
        "DeepLabv2 2: pixel_noise",
    ]
    assert [e.reference for e in explainers] == [
        e.name.split(": ")[1] in REFERENCE_MAPS for e in explainers
    ]
    with pytest.raises(TypeError, match=r"references is 'no' .*, expected a bool"):
        explainers_of([linear()], references="no")


def test_a_registered_explainer_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    # The registry of this test is a copy, so that others do not see the explainer.
    monkeypatch.setattr("protoxai.attribution.registry.EXPLAINERS", dict(EXPLAINERS))

    @register_explainer("red")
    class Red(AttributionMethod):
        def __init__(self, model: nn.Module) -> None:
            super().__init__("red", model)

        def attribute(
            self, images: Tensor, region: Tensor, class_index: Tensor
        ) -> tuple[Tensor, Tensor | None]:
            return images[:, 0], None

    explainers = explainers_of([linear()], ["red"])
    comparison = compare(explainers, TASKS, metrics=["cost"], log=quiet)
    assert comparison["DeepLabv2: red", "forward_passes"].mean == 0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match=r"'Salience' \(did you mean 'Saliency'\?\)"):
        explainers_of([linear()], ["Salience"])


@pytest.mark.parametrize(
    ("make", "methods", "message"),
    [
        (
            linear,
            ["Saliency", "prototypes"],
            r"prototypes cannot .*\(DeepLabv2\): ",
        ),
        (
            small_model,
            ["Saliency", "groups"],
            r"groups cannot .*: call model.group\(\)",
        ),
        (linear, [], "got no methods, expected at least one"),
    ],
)
def test_a_method_that_applies_to_no_model_is_an_error(make, methods, message) -> None:
    with pytest.raises(ValueError, match=message):
        explainers_of([make()], methods)


@pytest.mark.parametrize("methods", ["Saliency", 7, ["Saliency", 7]])
def test_what_is_no_list_of_names_is_an_error(methods) -> None:
    with pytest.raises(TypeError, match=r"methods is .*, expected a list of names"):
        explainers_of([linear()], methods)


def test_the_explanation_is_that_of_the_model() -> None:
    model = small_model().eval()
    [explainer] = explainers_of([model], ["prototypes"], references=False)
    assert explainer.model is model
    images = torch.rand(1, 3, 16, 20)
    region = torch.ones(1, 16, 20, dtype=torch.bool)
    attribution = explainer(images, region, torch.tensor([0]))
    assert attribution.units.shape == (1, len(model.table))
