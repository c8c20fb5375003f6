"""Captum's methods on any segmentation model: one map per image, and units where there are any."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.layers import find_layer, tapped
from protoxai.attribution.superpixels import WeightedLeastSquares, superpixels
from protoxai.attribution.target import SegmentationTarget
from protoxai.runtime.resize import resize

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
WITH_CHANCE = ("GradientShap", "KernelShap")
PERTURBED_AT_ONCE = 8
"""Perturbed images in a forward pass: together they take a fraction of the time, and far less
memory each than one that is differentiated."""
# What the method itself decides, or what would change the form of the answer.
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

    Maps are signed, but for Saliency's, which are absolute gradients (``abs=False`` keeps the
    sign). Where the method attributes to colours, the map is their sum. Where it perturbs
    (Occlusion; FeatureAblation and KernelShap over SLIC superpixels), a pixel has the value of its
    window or superpixel. Where it looks at a layer, the map is the sum over channels, resized
    bilinearly and divided by the enlargement, so that its sum stays the layer's. Baselines are 0,
    the mean colour of normalised images.

    LayerGradientXActivation, LayerConductance and LayerIntegratedGradients have units: the
    channels of the layer's map, each with its attribution summed over all positions (and over the
    calls, where the model sees the image at several scales).

    Memory is that of one pass of the batch, forward and backward (of two for LayerConductance), or
    where images are perturbed, of the forward pass of 8 or of the batch, whichever is more:
    ``internal_batch_size`` and ``perturbations_per_eval`` trade it for speed. Methods with chance
    (GradientShap, KernelShap) draw anew from ``seed`` for each image, so that its explanation
    depends neither on its batch nor on earlier ones.

    Args:
        name: of the method: Saliency, InputXGradient, IntegratedGradients, GradientShap,
            Occlusion, FeatureAblation, KernelShap, LayerGradCam, LayerGradientXActivation,
            LayerConductance or LayerIntegratedGradients.
        model: any segmentation model that :class:`SegmentationTarget` takes.
        layer: for layer methods, a module of the model or its name; None: its ``backbone`` or
            ``encoder``. Of several maps the last is taken, or the one named "out".
        seed: of the methods with chance.
        segments: superpixels per image, about.
        options: of Captum's ``attribute``, such as ``n_steps``, ``n_samples``, ``stdevs``,
            ``baselines`` or ``sliding_window_shapes``.

    Raises:
        ValueError: if the name or the layer is unknown.
        TypeError: if the method has no such option.

    Example:
        >>> import torch
        >>> model = torch.nn.Conv2d(3, 5, 1)
        >>> explain = CaptumAttribution("IntegratedGradients", model, n_steps=8)
        >>> region = torch.ones(2, 8, 8, dtype=torch.bool)
        >>> found = explain(torch.rand(2, 3, 8, 8), region, torch.tensor([4, 1]))
        >>> found.map.shape, found.cost.backward_passes
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
        if name not in METHODS:
            close = get_close_matches(str(name), METHODS, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise ValueError(f"there is no method {name!r}: {hint}Expected one of {METHODS}")
        super().__init__(name, model)
        self.method = name
        self._layer_given = layer if isinstance(layer, str) else type(layer).__name__
        self.target = SegmentationTarget(model)
        self.layer = find_layer(model, layer) if name in LAYER_METHODS else None
        self.seed = seed
        self.segments = segments
        self.options = options
        _check_options(name, self._captum, options)

    def __repr__(self) -> str:
        settings = {"layer": self._layer_given, "seed": self.seed, "segments": self.segments}
        given = ", ".join(f"{k}={v!r}" for k, v in {**settings, **self.options}.items())
        return f"CaptumAttribution({self.method!r}, {type(self.model).__name__}, {given})"

    @property
    def _captum(self) -> Any:
        import captum.attr

        return getattr(captum.attr, self.method)

    def _explain(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        if self.method in WITH_CHANCE:
            maps = []
            for image in zip(images.split(1), region.split(1), class_index.split(1), strict=True):
                with _seeded(self.seed, images.device):
                    maps.append(self._map(*image))
            return torch.cat(maps), None
        if self.layer is None:
            return self._map(images, region, class_index), None
        return self._layer_map(self.layer, images, region, class_index)

    def _map(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        question = {"additional_forward_args": (region, class_index)}
        options = self._options_for(images)
        if self.method == "KernelShap":
            return self._kernel_shap(images, **question, **options)
        method = self._captum(self.target)
        if self.method == "GradientShap":
            # Captum computes all samples at once: one at a time bounds the memory.
            samples = options.pop("n_samples")
            draws = (
                method.attribute(images, n_samples=1, **question, **options) for _ in range(samples)
            )
            return torch.stack([draw.sum(1) for draw in draws]).mean(0)
        if self.method in WITH_SUPERPIXELS:
            options["feature_mask"] = superpixels(images, self.segments)[:, None]
        found: Tensor = method.attribute(
            images.requires_grad_(self.method in PIXEL_METHODS), **question, **options
        )
        # All colours of a perturbed pixel have the value of its window or superpixel.
        return found.mean(1) if self.method in PERTURBATIONS else found.sum(1)

    def _kernel_shap(self, images: Tensor, **options: Any) -> Tensor:
        parts = superpixels(images, self.segments)
        if not parts.any():
            raise ValueError(
                f"the image of {tuple(images.shape[2:])} pixels is a single superpixel, expected "
                f"at least two: raise segments, now {self.segments}"
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
        with tapped(self.model, layer) as taps:
            found = self._layer_attributions(taps, images, options)
        size = images.shape[2:]
        maps = torch.stack(
            [resize(own.sum(1, keepdim=True), size)[:, 0] * _shrinkage(own, size) for own in found]
        ).sum(0)
        if self.method not in WITH_UNITS:
            return maps, None
        return maps, torch.stack([own.sum((2, 3)) for own in found]).sum(0)

    def _layer_attributions(
        self, taps: list[nn.Module], images: Tensor, options: dict[str, Any]
    ) -> list[Tensor]:
        """Return the attribution (B, C, h, w) to the layer at each of its calls."""
        if self.method == "LayerIntegratedGradients":
            # The paths of all calls have to be walked together, or they would not add up.
            found = self._captum(self.target, taps[:1]).attribute(images, **options)
            if len(taps) > 1:
                with _several_layers():
                    method = self._captum(self.target, taps)
                found = method.attribute(images, **options)
            return list(found)
        # The list grows when the model first runs.
        return [self._captum(self.target, tap).attribute(images, **options) for tap in taps]

    def _options_for(self, images: Tensor) -> dict[str, Any]:
        """Return Captum's options for a batch: the user's, on top of the defaults."""
        options: dict[str, Any] = {}
        least = len(images)
        if self.method == "GradientShap":
            options = {"baselines": torch.zeros_like(images), "n_samples": 20, "stdevs": 0.1}
        elif self.method == "Occlusion":
            window = tuple(-(-side // 8) for side in images.shape[2:])
            options["sliding_window_shapes"] = (images.shape[1], *window)
        elif self.method == "KernelShap":
            options["n_samples"] = 4 * self.segments
        elif self.method == "LayerConductance":
            # Its differences start at the baseline and end at the image only with this rule.
            options["method"] = "riemann_trapezoid"
            least *= 2
        if self.method in PERTURBATIONS:
            options["perturbations_per_eval"] = max(PERTURBED_AT_ONCE // len(images), 1)
        options.update(self.options)
        if self.method == "Occlusion":
            options.setdefault("strides", options["sliding_window_shapes"])
        if "internal_batch_size" in inspect.signature(self._captum.attribute).parameters:
            options["internal_batch_size"] = max(least, options.get("internal_batch_size", 0))
        return options


def _check_options(name: str, method: Any, options: dict[str, Any]) -> None:
    parameters = inspect.signature(method.attribute).parameters.values()
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - RESERVED
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"{name} has no options {unknown}, expected some of {sorted(known)}")


def _shrinkage(maps: Tensor, size: torch.Size) -> float:
    return maps.shape[2:].numel() / size.numel()


@contextmanager
def _several_layers() -> Iterator[None]:
    """Silence Captum's warning of layers that depend on each other: these do not."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Multiple layers provided")
        yield


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed for a while; afterwards PyTorch and NumPy go on as if nothing had been."""
    import numpy as np

    # Captum draws from the global generators of both.
    state = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
