"""Infidelity: how badly an attribution foretells what noise does to the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.per_image import Index, PerImageMetric

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
    with noise N(0, 0.1²) on the normalised image, normalised so that a factor of the attribution
    does not matter.

    Args:
        score: from images (n, 3, H, W) and the arguments to one number each (n,); a
            ``SegmentationTarget``, say.
        images: (B, 3, H, W), normalised.
        attribution: (B, H, W), or for each channel (B, 3, H, W).
        arguments: tensors (B, ...) that belong to the images: the regions and the classes.
        samples: draws of the noise.
        seeds: of each image's noise; None: the numbers from 0.
        batch_size: most images scored at once.

    Returns:
        (B,), at least 0; NaN where the attribution is 0.

    Example:
        >>> import torch
        >>> images, weight = torch.rand(2, 3, 4, 4), torch.rand(3, 4, 4)
        >>> score = lambda x: (x * weight).sum((1, 2, 3))
        >>> exact = infidelity(score, images, weight.expand(2, 3, 4, 4))
        >>> bool((exact < 1e-9).all())
        True
    """
    from captum import metrics

    if attribution.dim() == 3:
        check_maps(attribution)
        # Shared out evenly: noise on any channel of a pixel counts alike, and a factor not at all.
        attribution = attribution[:, None].expand(-1, images.shape[1], -1, -1)
    if attribution.shape != images.shape:
        raise ValueError(
            f"attribution has shape {tuple(attribution.shape)} and images {tuple(images.shape)}, "
            "expected (batch, height, width) or the images' own shape: resize the attribution"
        )
    values = []
    for number, seed in enumerate(range(len(images)) if seeds is None else seeds):
        one = slice(number, number + 1)
        # It sums up squares that nearly cancel, too near for float32.
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
    """Return what adds fresh noise to images, and says what it took away."""
    generator = torch.Generator().manual_seed(seed)

    def perturb(images: Tensor) -> tuple[Tensor, Tensor]:
        noise = NOISE * torch.randn(images.shape, generator=generator, dtype=images.dtype)
        noise = noise.to(images.device)
        return noise, images - noise

    return perturb


class Infidelity(PerImageMetric):
    """Infidelity of an attribution under noise, see :func:`infidelity`; lower is better.

    Args:
        samples: draws of the noise.
        batch_size: most images scored at once.
        options: of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = Infidelity()
        >>> metric.update(lambda x: x.sum((1, 2, 3)), torch.rand(1, 3, 4, 4), torch.ones(1, 4, 4))
        >>> float(metric.compute()) < 1e-9
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {"infidelity": False}
    higher_is_better = False

    def __init__(self, samples: int = 10, *, batch_size: int = 10, **options: Any) -> None:
        super().__init__(**options)
        self.settings: dict[str, Any] = {"samples": samples, "batch_size": batch_size}

    def update(
        self,
        score: Callable[..., Tensor],
        images: Tensor,
        attribution: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
    ) -> None:
        """Take in images (B, 3, H, W), their attributions, and the score with its arguments."""
        numbers = self._numbers(index, len(images))
        seeds = (numbers + self.seed).tolist()
        values = infidelity(score, images, attribution, arguments, seeds=seeds, **self.settings)
        self._keep(numbers, values)
