"""Max sensitivity: largest change of an explanation when the image hardly changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import (
    COUNT,
    check_arguments,
    check_images,
    check_original,
    checked,
    seeds_of,
)
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.checks import NOT_NEGATIVE, number, whole


def max_sensitivity(
    explain: Callable[..., Tensor],
    images: Tensor,
    arguments: Sequence[Tensor] = (),
    *,
    original: Tensor | None = None,
    radius: float = 0.02,
    samples: int = 10,
    seeds: Sequence[int] | None = None,
    batch_size: int = 10,
) -> Tensor:
    """Return the largest relative change of an explanation, by ``captum.metrics.sensitivity_max``.

    Yeh et al., NeurIPS 2019, definition 4.1. Changed images are drawn uniformly from the cube of
    half-width ``radius`` around the normalised image.

    Args:
        explain: Function of images (n, 3, H, W) and the arguments that returns maps (n, H, W).
        images: Normalised images (B, 3, H, W).
        arguments: Tensors (B, ...) that belong to the images: the regions and the classes.
        original: Maps (B, H, W) of the images themselves, if they are known already.
        radius: Largest change of a pixel.
        samples: Number of changed images.
        seeds: Seeds of each image's changes; None for the numbers from 0.
        batch_size: Largest number of images to explain at once.

    Returns:
        Values (B,), at least 0; NaN where the explanation is 0.

    Raises:
        ValueError: If there are not as many maps as images.

    Example:
        >>> import torch
        >>> max_sensitivity(lambda x: torch.ones(len(x), 4, 4), torch.rand(2, 3, 4, 4))
        tensor([0., 0.])
    """
    from captum import metrics

    count = check_images(images)
    check_arguments(arguments, count)
    check_original(original, images)
    radius, samples = number("radius", radius, NOT_NEGATIVE), whole("samples", samples, COUNT)
    batch_size, seeds = whole("batch_size", batch_size, COUNT), seeds_of(seeds, count)
    explain = checked("explain", explain, "images height width")

    # Captum disables gradients, but gradient methods need them.
    @torch.enable_grad()
    def explained(images: Tensor, arguments: Sequence[Tensor]) -> Tensor:
        return explain(images, *arguments).detach().contiguous()

    values = []
    for position, seed in enumerate(seeds):
        one = slice(position, position + 1)
        own = tuple(argument[one] for argument in arguments)
        before = explained(images[one], own) if original is None else original[one]
        value = metrics.sensitivity_max(
            partial(_explanation, explained, before),
            images[one],
            _change(seed, radius),
            n_perturb_samples=samples,
            max_examples_per_batch=min(batch_size, samples),
            additional_forward_args=own or None,
        )
        values.append(value.where(before.any(), torch.nan))
    return torch.cat(values)


def _explanation(
    explained: Callable[[Tensor, Sequence[Tensor]], Tensor],
    before: Tensor,
    inputs: Any,
    additional_forward_args: Any = None,
) -> Any:
    # Captum passes the original images as a tuple, and changed ones as a tensor.
    if isinstance(inputs, tuple):
        return (before.contiguous(),)
    return explained(inputs, additional_forward_args or ())


def _change(seed: int, radius: float) -> Callable[[Tensor], Tensor]:
    """Return a function that changes every pixel of images by at most the radius."""
    generator = torch.Generator().manual_seed(seed)

    # Captum would pass its own radius to a function of two arguments.
    def perturb(images: Tensor) -> Tensor:
        change = torch.rand(images.shape, generator=generator, dtype=images.dtype) * 2 - 1
        return images + radius * change.to(images.device)

    return perturb


@register_metric("max_sensitivity")
class MaxSensitivity(PerImageMetric):
    """Largest relative change of an explanation, see :func:`max_sensitivity`.

    It describes an explanation and does not rank it: a constant map has the lowest value.

    Args:
        radius: Largest change of a pixel.
        samples: Number of changed images.
        batch_size: Largest number of images to explain at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = MaxSensitivity()
        >>> metric.update(lambda x: x.sum(1), torch.ones(1, 3, 4, 4))
        >>> 0 < float(metric.compute()) <= 0.021
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {"max_sensitivity": None}
    higher_is_better = None

    def __init__(
        self, radius: float = 0.02, samples: int = 10, *, batch_size: int = 10, **options: Any
    ) -> None:
        super().__init__(**options)
        self.radius = number("radius", radius, NOT_NEGATIVE)
        self.samples = whole("samples", samples, COUNT)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(
        self,
        explain: Callable[..., Tensor],
        images: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
        original: Tensor | None = None,
    ) -> None:
        """Add images, and the explainer with its arguments.

        Args:
            explain: Function of images (n, 3, H, W) and the arguments that returns maps (n, H, W).
            images: Normalised images (B, 3, H, W).
            arguments: Tensors (B, ...) that belong to the images: the regions and the classes.
            index: Data set index of each image.
            original: Maps (B, H, W) of the images themselves, if they are known already.
        """
        indices = self.image_indices(index, check_images(images))
        values = max_sensitivity(
            explain,
            images,
            arguments,
            original=original,
            radius=self.radius,
            samples=self.samples,
            seeds=(indices + self.seed).tolist(),
            batch_size=self.batch_size,
        )
        self.add_values(values, indices)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task; the explainer runs again on changed images."""
        self.update(
            explained.explain,
            explained.image,
            explained.arguments,
            index=explained.index,
            original=explained.map,
        )
