"""Captum's methods on any segmentation model: a map per image, and units if the method has any."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.layers import find_layer, has_trunk, hookable, map_on_image
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.superpixels import WeightedLeastSquares, superpixels
from protoxai.attribution.target import SegmentationTarget
from protoxai.runtime.checks import Range, choice, did_you_mean, whole
from protoxai.runtime.representation import call_repr

PIXEL_METHODS = ("Saliency", "InputXGradient", "IntegratedGradients", "GradientShap")
PERTURBATIONS = ("Occlusion", "FeatureAblation", "KernelShap")
LAYER_METHODS = (
    "LayerGradCam",
    "LayerGradientXActivation",
    "LayerConductance",
    "LayerIntegratedGradients",
)
METHODS = (*PIXEL_METHODS, *PERTURBATIONS, *LAYER_METHODS)
WITH_UNITS = LAYER_METHODS[1:]
WITH_SUPERPIXELS = ("FeatureAblation", "KernelShap")
SEED, SEGMENTS = Range(least=0, most=2**32 - 1), Range(least=1, most=1_000_000)
RANDOM = ("GradientShap", "KernelShap")
PERTURBED_AT_ONCE = 8
"""Number of perturbed images per forward pass: a batch takes a fraction of the time of single
images, and each takes far less memory than an image that is differentiated."""
# Options that are set here, or that would change the form of the result.
RESERVED = {
    "additional_forward_args",
    "attr_dim_summation",
    "attribute_to_layer_input",
    "feature_mask",
    "inputs",
    "return_convergence_delta",
    "return_input_shape",
    "self",
    "show_progress",
    "target",
}


class CaptumAttribution(AttributionMethod):
    """One of Captum's methods, explaining a class's logit averaged over a region.

    Maps are signed, except for Saliency, whose maps are absolute gradients (``abs=False`` keeps the
    sign). If the method attributes to colour channels, the map is their sum. If it perturbs
    (Occlusion; FeatureAblation and KernelShap over SLIC superpixels), a pixel has the value of its
    window or superpixel. If it explains a layer, the map is the sum over the layer's channels,
    resized bilinearly and divided by the enlargement, so that its sum remains the layer's.
    Baselines are 0, the mean colour of normalised images.

    LayerGradientXActivation, LayerConductance and LayerIntegratedGradients have units: the
    channels of the layer's map, each with its attribution summed over all positions (and over the
    layer's calls, if the model processes the image at several scales).

    Gradient methods take the memory of one forward and backward pass of the batch (of two for
    LayerConductance), perturbing methods that of a forward pass of 8 images or of the batch,
    whichever is larger: ``internal_batch_size`` and ``perturbations_per_eval`` trade memory for
    speed. Random methods (GradientShap, KernelShap) are seeded with ``seed`` for each image, so
    that its explanation depends neither on its batch nor on earlier explanations.

    Args:
        name: Name of the method: Saliency, InputXGradient, IntegratedGradients, GradientShap,
            Occlusion, FeatureAblation, KernelShap, LayerGradCam, LayerGradientXActivation,
            LayerConductance or LayerIntegratedGradients.
        model: Any segmentation model that :class:`SegmentationTarget` accepts.
        layer: Module of the model, or its name, for layer methods; None: ``backbone`` or
            ``encoder``. Of several maps that it returns, the last or the one named "out" is used.
        seed: Seed of the random methods.
        segments: Approximate number of superpixels per image.
        **options: Options of Captum's ``attribute``, such as ``n_steps``, ``n_samples``,
            ``stdevs``, ``baselines`` or ``sliding_window_shapes``.

    Raises:
        ValueError: If the name or the layer is unknown.
        TypeError: If the method has no such option.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 5, 1)
        >>> explainer = CaptumAttribution("IntegratedGradients", model, n_steps=8)
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> attribution = explainer(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1]))
        >>> attribution.map.shape, attribution.cost.backward_passes
        (torch.Size([2, 8, 8]), 16)
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        layer: str | nn.Module | None = None,
        seed: int = 0,
        segments: int = 32,
        **options: Any,
    ) -> None:
        super().__init__(choice("name", name, METHODS), model)
        self.method = name
        self._given_layer = layer
        self.target = SegmentationTarget(self.model)
        self.layer = find_layer(self.model, layer) if name in LAYER_METHODS else None
        self.seed = whole("seed", seed, SEED)
        self.segments = whole("segments", segments, SEGMENTS)
        self.options = options
        _check_options(name, self._captum, options)

    def __repr__(self) -> str:
        return call_repr(
            self,
            name=self.method,
            model=self.model,
            layer=self._given_layer,
            seed=self.seed,
            segments=self.segments,
            **self.options,
        )

    @property
    def _captum(self) -> Any:
        import captum.attr

        return getattr(captum.attr, self.method)

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the map of each image (B, H, W) and, for some layer methods, the units (B, U)."""
        if self.method in RANDOM:
            maps = []
            for task in zip(images.split(1), region.split(1), class_index.split(1), strict=True):
                with _seeded(self.seed, images.device):
                    maps.append(self._map(*task))
            return torch.cat(maps), None
        if self.layer is None:
            return self._map(images, region, class_index), None
        return self._layer_map(self.layer, images, region, class_index)

    def _map(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        options = self._options_for(images)
        options["additional_forward_args"] = (region, class_index)
        if self.method == "KernelShap":
            return self._kernel_shap(images, options)
        method = self._captum(self.target)
        if self.method == "GradientShap":
            # Captum computes all samples together; one at a time bounds the memory.
            count = options.pop("n_samples")
            samples = [
                method.attribute(images, n_samples=1, **options).sum(1) for _ in range(count)
            ]
            return torch.stack(samples).mean(0)
        if self.method in WITH_SUPERPIXELS:
            options["feature_mask"] = superpixels(images, self.segments)[:, None]
        values: Tensor = method.attribute(
            images.requires_grad_(self.method in PIXEL_METHODS), **options
        )
        # Every colour of a perturbed pixel has the value of its window or superpixel.
        return values.mean(1) if self.method in PERTURBATIONS else values.sum(1)

    def _kernel_shap(self, images: Tensor, options: dict[str, Any]) -> Tensor:
        parts = superpixels(images, self.segments)
        if not parts.any():
            raise ValueError(
                f"the image of {tuple(images.shape[2:])} pixels is a single superpixel, expected "
                f"at least two: raise segments, which is {self.segments}"
            )
        if not options["additional_forward_args"][0].any():
            return torch.full_like(images[:, 0], torch.nan)
        method = self._captum(self.target)
        method.interpretable_model = WeightedLeastSquares()
        values: Tensor = method.attribute(
            images, feature_mask=parts[:, None], return_input_shape=False, **options
        )
        return values.to(images).flatten()[parts]

    def _layer_map(
        self, layer: nn.Module, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        options = self._options_for(images)
        options["additional_forward_args"] = (region, class_index)
        if self.method == "LayerGradCam":
            options["attr_dim_summation"] = False
        with hookable(self.model, layer) as outputs:
            per_call = self._layer_attributions(outputs, images, options)
        maps = map_on_image(per_call, images.shape[2:])
        if self.method not in WITH_UNITS:
            return maps, None
        return maps, torch.stack([values.sum((2, 3)) for values in per_call]).sum(0)

    def _layer_attributions(
        self, outputs: list[nn.Module], images: Tensor, options: dict[str, Any]
    ) -> list[Tensor]:
        """Return the attribution (B, C, h, w) to the layer's output at each of its calls."""
        if self.method == "LayerIntegratedGradients":
            # All calls must follow one path of integration, or their attributions do not add up.
            values = self._captum(self.target, outputs[:1]).attribute(images, **options)
            if len(outputs) > 1:
                with _several_layers():
                    method = self._captum(self.target, outputs)
                values = method.attribute(images, **options)
            return list(values)
        # The list grows when the model first runs.
        return [
            self._captum(self.target, output).attribute(images, **options) for output in outputs
        ]

    def _options_for(self, images: Tensor) -> dict[str, Any]:
        """Return Captum's options for a batch: the defaults, overridden by the user's."""
        options: dict[str, Any] = {}
        smallest = len(images)
        if self.method == "GradientShap":
            options = {"baselines": torch.zeros_like(images), "n_samples": 20, "stdevs": 0.1}
        elif self.method == "Occlusion":
            window = tuple(-(-side // 8) for side in images.shape[2:])
            options["sliding_window_shapes"] = (images.shape[1], *window)
        elif self.method == "KernelShap":
            options["n_samples"] = 4 * self.segments
        elif self.method == "LayerConductance":
            # Only with this rule do its differences start at the baseline and end at the image.
            options["method"] = "riemann_trapezoid"
            smallest *= 2
        if self.method in PERTURBATIONS:
            options["perturbations_per_eval"] = max(PERTURBED_AT_ONCE // len(images), 1)
        options.update(self.options)
        if self.method == "Occlusion":
            options.setdefault("strides", options["sliding_window_shapes"])
        if "internal_batch_size" in inspect.signature(self._captum.attribute).parameters:
            options["internal_batch_size"] = max(smallest, options.get("internal_batch_size", 0))
        return options


def _check_options(name: str, method: Any, options: dict[str, Any]) -> None:
    parameters = inspect.signature(method.attribute).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - RESERVED
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f"{name} has no option {unknown[0]!r}{did_you_mean(unknown[0], known)}; expected some "
            f"of {', '.join(sorted(known))}"
        )


@contextmanager
def _several_layers() -> Iterator[None]:
    """Silence Captum's warning about layers that depend on each other: these do not."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Multiple layers provided")
        yield


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Temporarily seed the global generators of PyTorch and NumPy, from which Captum draws."""
    import numpy as np

    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


for _method in (*PIXEL_METHODS, *PERTURBATIONS):
    register_explainer(_method)(partial(CaptumAttribution, _method))
for _method in LAYER_METHODS:
    register_explainer(_method, applies_to=has_trunk)(partial(CaptumAttribution, _method))
