"""Maps that do not explain a decision, as references for those that do."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import check_classes, logits_of
from protoxai.runtime.checks import Range, choice, whole
from protoxai.runtime.resize import resize

SEED = Range(least=0)
SMOOTHNESS = 16
"""The standard deviation of smooth noise is the image's height divided by this number."""


class ReferenceMap(AttributionMethod):
    """A map that an explanation has to surpass, as an explainer.

    - "logit_map": the class's logit, resized to the image. It is the model's answer; a prototype
      model's evidence differs from it by a constant.
    - "predicted_region": 1 in the region, 0 elsewhere.
    - "edges": size of the gradient of the image's brightness (Sobel), which depends neither on the
      model nor on the class.
    - "smooth_noise": Gaussian noise, blurred by a Gaussian with a standard deviation of H/16.
    - "pixel_noise": independent Gaussian noise at each pixel.

    The noise is drawn anew for each image and class, from a seed that depends on both alone.

    Args:
        name: Name of the map.
        model: Model to explain.
        seed: Seed of the noise.

    Raises:
        ValueError: If there is no such map.

    Example:
        >>> import torch
        >>> explainer = ReferenceMap("edges", torch.nn.Conv2d(3, 5, 1))
        >>> region = torch.ones(1, 8, 8, dtype=torch.bool)
        >>> float(explainer(torch.ones(1, 3, 8, 8), region, torch.tensor([4])).map.abs().max())
        0.0
    """

    reference = True

    def __init__(self, name: str, model: nn.Module, *, seed: int = 0) -> None:
        self.kind = choice("name", name, REFERENCE_MAPS)
        super().__init__(name, model)
        self.seed = whole("seed", seed, SEED)

    @torch.no_grad()
    def attribute(self, images: Tensor, region: Tensor, class_index: Tensor) -> tuple[Tensor, None]:
        """Return the map of each image (B, H, W)."""
        return _MAPS[self.kind](self, images, region, class_index), None

    def _logit_map(self, images: Tensor, _region: Tensor, class_index: Tensor) -> Tensor:
        logits = logits_of(self.model(images))
        check_classes(class_index, logits.shape[1])
        rows = torch.arange(len(images), device=logits.device)
        own = logits[rows, class_index.to(logits.device)]
        return resize(own[:, None], images.shape[2:])[:, 0]

    def _predicted_region(self, images: Tensor, region: Tensor, _class_index: Tensor) -> Tensor:
        return region.to(images.dtype)

    def _edges(self, images: Tensor, _region: Tensor, _class_index: Tensor) -> Tensor:
        from scipy import ndimage

        # Image by image, because the filter smooths along all axes but one.
        maps = [
            torch.hypot(*(torch.from_numpy(ndimage.sobel(brightness, axis)) for axis in (0, 1)))
            for brightness in images.double().mean(1).cpu().numpy()
        ]
        return torch.stack(maps).to(images)

    def _smooth_noise(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        from scipy import ndimage

        noise = self._pixel_noise(images, region, class_index).double().cpu().numpy()
        sigma = images.shape[2] / SMOOTHNESS
        smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="nearest")
        return torch.from_numpy(smooth).to(images)

    def _pixel_noise(self, images: Tensor, _region: Tensor, class_index: Tensor) -> Tensor:
        noise = []
        for image, own_class in zip(images.cpu(), class_index.tolist(), strict=True):
            content = zlib.crc32(image.float().numpy().tobytes(), own_class & 0xFFFFFFFF)
            generator = torch.Generator().manual_seed(content + self.seed)
            noise.append(torch.randn(image.shape[1:], generator=generator))
        return torch.stack(noise).to(images)


_MAPS: dict[str, Callable[[ReferenceMap, Tensor, Tensor, Tensor], Tensor]] = {
    "logit_map": ReferenceMap._logit_map,
    "predicted_region": ReferenceMap._predicted_region,
    "edges": ReferenceMap._edges,
    "smooth_noise": ReferenceMap._smooth_noise,
    "pixel_noise": ReferenceMap._pixel_noise,
}
REFERENCE_MAPS = tuple(_MAPS)
"""Names of the reference maps."""

for _name in REFERENCE_MAPS:
    register_explainer(_name)(partial(ReferenceMap, _name))
