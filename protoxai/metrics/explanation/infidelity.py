"""Infidelity: error of an attribution's prediction of how noise on the image changes the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import (
    COUNT,
    check_arguments,
    check_images,
    check_maps,
    checked,
    seeds_of,
)
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.runtime.checks import whole
from protoxai.runtime.tensors import tensor

NOISE = 0.1


def infidelity(
    score: Callable[..., Tensor],
    images: Tensor,
    attribution: Tensor,
    arguments: Sequence[Tensor] = (),
    *,
    samples: int = 10,
    seeds: Sequence[int] | None = None,
    batch_size: int = 10,
) -> Tensor:
    """Return the infidelity of attributions, by ``captum.metrics.infidelity``.

    Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, definition 2.1,
    with noise N(0, 0.1²) on the normalised image. The result is normalised, so that scaling the
    attribution does not change it.

    Args:
        score: Function of images (n, 3, H, W) and the arguments that returns one number each, (n,),
            such as a ``SegmentationTarget``.
        images: Normalised images (B, 3, H, W).
        attribution: Attribution maps (B, H, W), or one for each channel (B, 3, H, W).
        arguments: Tensors (B, ...) that belong to the images: the regions and the classes.
        samples: Number of noise samples.
        seeds: Seeds of each image's noise; None for the numbers from 0.
        batch_size: Largest number of images to score at once.

    Returns:
        Values (B,), at least 0; NaN where the attribution is 0.

    Raises:
        ValueError: If the attribution does not fit the images.

    Example:
        >>> import torch
        >>> images, weight = torch.rand(2, 3, 4, 4), torch.rand(3, 4, 4)
        >>> score = lambda x: (x * weight).sum((1, 2, 3))
        >>> exact = infidelity(score, images, weight.expand(2, 3, 4, 4))
        >>> bool((exact < 1e-9).all())
        True
    """
    from captum import metrics

    count = check_images(images)
    check_arguments(arguments, count)
    samples, batch_size = whole("samples", samples, COUNT), whole("batch_size", batch_size, COUNT)
    score, seeds = checked("score", score, "images"), seeds_of(seeds, count)
    tensor("attribution", attribution, "... height width", "real numbers")
    if attribution.dim() == 3:
        check_maps(attribution)
        # Each channel may have the whole attribution of its pixel, because scale does not matter.
        attribution = attribution[:, None].expand(-1, images.shape[1], -1, -1)
    if attribution.shape != images.shape:
        raise ValueError(
            f"attribution has shape {tuple(attribution.shape)} and images {tuple(images.shape)}, "
            "expected (batch, height, width) or the images' own shape: resize the attribution"
        )
    values = []
    for number, seed in enumerate(seeds):
        one = slice(number, number + 1)
        # Captum sums squares that nearly cancel, which float32 cannot resolve.
        value = metrics.infidelity(
            lambda *inputs: score(*inputs).double(),
            _noise(seed),
            images[one],
            attribution[one].double(),
            additional_forward_args=tuple(argument[one] for argument in arguments) or None,
            n_perturb_samples=samples,
            max_examples_per_batch=min(batch_size, samples),
            normalize=True,
        )
        values.append(value.where(attribution[one].any(), torch.nan))
    return torch.cat(values)


def _noise(seed: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that draws noise and returns it with the images minus the noise."""
    generator = torch.Generator().manual_seed(seed)

    def perturb(images: Tensor) -> tuple[Tensor, Tensor]:
        noise = NOISE * torch.randn(images.shape, generator=generator, dtype=images.dtype)
        noise = noise.to(images.device)
        return noise, images - noise

    return perturb


@register_metric("infidelity")
class Infidelity(PerImageMetric):
    """Infidelity of an attribution under noise, see :func:`infidelity`.

    Lower is meant to be better, but the figure does not rank: an attribution predicts hardly
    anything of the effect of small noise on all pixels. See :class:`PerturbationAgreement`.

    Args:
        samples: Number of noise samples.
        batch_size: Largest number of images to score at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = Infidelity()
        >>> metric.update(lambda x: x.sum((1, 2, 3)), torch.rand(1, 3, 4, 4), torch.ones(1, 4, 4))
        >>> float(metric.compute()) < 1e-9
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {"infidelity": None}
    higher_is_better = None

    def __init__(self, samples: int = 10, *, batch_size: int = 10, **options: Any) -> None:
        super().__init__(**options)
        self.samples = whole("samples", samples, COUNT)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(
        self,
        score: Callable[..., Tensor],
        images: Tensor,
        attribution: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
    ) -> None:
        """Add images (B, 3, H, W), their attributions, and the score with its arguments."""
        indices = self.image_indices(index, check_images(images))
        values = infidelity(
            score,
            images,
            attribution,
            arguments,
            samples=self.samples,
            seeds=(indices + self.seed).tolist(),
            batch_size=self.batch_size,
        )
        self.add_values(values, indices)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add an explained task, scored by the class's logit."""
        self.update(explained.logit, explained.image, explained.map, index=explained.index)
