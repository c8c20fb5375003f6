"""Max sensitivity: how far a hardly visible change of the image moves an explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from protoxai.metrics.per_image import Index, PerImageMetric


def max_sensitivity(
    explain: Callable[..., Tensor],
    images: Tensor,
    arguments: Sequence[Tensor] = (),
    *,
    radius: float = 0.02,
    samples: int = 10,
    seeds: Sequence[int] | None = None,
    batch_size: int = 10,
) -> Tensor:
    """Return the largest relative change of an explanation, by ``captum.metrics.sensitivity_max``.

    Yeh et al., NeurIPS 2019, definition 4.1: images drawn evenly from the cube of half-width
    ``radius`` around the normalised image.

    Args:
        explain: from images (n, 3, H, W) and the arguments to maps (n, H, W).
        images: (B, 3, H, W), normalised.
        arguments: tensors (B, ...) that belong to the images: the regions and the classes.
        radius: of the change.
        samples: draws of it.
        seeds: of each image's draws; None: the numbers from 0.
        batch_size: most images explained at once.

    Returns:
        (B,), at least 0; NaN where the explanation is 0.

    Example:
        >>> import torch
        >>> max_sensitivity(lambda x: torch.ones(len(x), 4, 4), torch.rand(2, 3, 4, 4))
        tensor([0., 0.])
    """
    from captum import metrics

    empty = False

    def explanation(inputs: Any, additional_forward_args: Any = None) -> Any:
        nonlocal empty
        original = isinstance(inputs, tuple)
        # Captum switches gradients off, which gradient methods need.
        with torch.enable_grad():
            maps = explain(
                inputs[0] if original else inputs, *(additional_forward_args or ())
            ).detach()
        if not original:
            return maps.contiguous()
        empty = not bool(maps.any())
        return (maps.contiguous(),)

    values = []
    for number, seed in enumerate(range(len(images)) if seeds is None else seeds):
        one = slice(number, number + 1)
        value = metrics.sensitivity_max(
            explanation,
            images[one],
            _change(seed, radius),
            n_perturb_samples=samples,
            max_examples_per_batch=min(batch_size, samples),
            additional_forward_args=tuple(argument[one] for argument in arguments) or None,
        )
        values.append(value.new_full((1,), torch.nan) if empty else value)
    return torch.cat(values)


def _change(seed: int, radius: float) -> Callable[[Tensor], Tensor]:
    """Return what moves every pixel of images by at most the radius."""
    generator = torch.Generator().manual_seed(seed)

    # Captum would hand over its own radius to a function of two arguments.
    def perturb(images: Tensor) -> Tensor:
        change = torch.rand(images.shape, generator=generator, dtype=images.dtype) * 2 - 1
        return images + radius * change.to(images.device)

    return perturb


class MaxSensitivity(PerImageMetric):
    """Largest relative change of an explanation, see :func:`max_sensitivity`; lower is better.

    Args:
        radius: of the change of the image.
        samples: draws of it.
        batch_size: most images explained at once.
        options: of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = MaxSensitivity()
        >>> metric.update(lambda x: x.sum(1), torch.ones(1, 3, 4, 4))
        >>> 0 < float(metric.compute()) <= 0.021
        True
    """

    figures: ClassVar[dict[str, bool | None]] = {"max_sensitivity": False}
    higher_is_better = False

    def __init__(
        self, radius: float = 0.02, samples: int = 10, *, batch_size: int = 10, **options: Any
    ) -> None:
        super().__init__(**options)
        self.settings: dict[str, Any] = {
            "radius": radius,
            "samples": samples,
            "batch_size": batch_size,
        }

    def update(
        self,
        explain: Callable[..., Tensor],
        images: Tensor,
        arguments: Sequence[Tensor] = (),
        index: Index = None,
    ) -> None:
        """Take in images (B, 3, H, W), and the explainer with its arguments."""
        numbers = self._numbers(index, len(images))
        seeds = (numbers + self.seed).tolist()
        self._keep(
            numbers, max_sensitivity(explain, images, arguments, seeds=seeds, **self.settings)
        )
