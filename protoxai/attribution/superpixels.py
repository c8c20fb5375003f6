"""Superpixels, and the linear model that KernelShap fits to them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def superpixels(images: Tensor, segments: int) -> Tensor:
    """Divide each image into SLIC superpixels (scikit-image).

    Args:
        images: Floating-point images (B, C, H, W) in any range; each is rescaled to [0, 1].
        segments: Approximate number of superpixels per image; small images have fewer.

    Returns:
        Superpixel of each pixel, int64 (B, H, W), numbered from 0 in each image, without gaps.

    Example:
        >>> import torch
        >>> superpixels(torch.rand(2, 3, 32, 40), 6).shape
        torch.Size([2, 32, 40])
    """
    import numpy as np
    from skimage.segmentation import slic

    maps = []
    for image in images.detach().cpu().double():
        low, high = image.min(), image.max()
        rescaled = (image - low) / (high - low).clamp_min(1e-12)
        # Without smoothing and compactness, noise yields fragments that are merged into one.
        labels = slic(
            rescaled.permute(1, 2, 0).numpy(),
            n_segments=segments,
            compactness=20,
            sigma=1,
            channel_axis=-1,
            start_label=0,
        )
        _, numbers = np.unique(labels, return_inverse=True)
        maps.append(torch.from_numpy(numbers.reshape(labels.shape)))
    return torch.stack(maps).to(images.device)


class WeightedLeastSquares:
    """Linear model with intercept that implements Captum's interface without scikit-learn."""

    def fit(self, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Fit to batches of inputs (n, K), outputs (n,) and their weights (n,)."""
        inputs, outputs, weights = (
            torch.cat(parts).cpu().double() for parts in zip(*batches, strict=True)
        )
        roots = weights.sqrt()[:, None]
        design = torch.cat([inputs, torch.ones_like(roots)], 1) * roots
        # With fewer samples than superpixels there are many solutions; this is the smallest.
        solution = torch.linalg.lstsq(design, outputs[:, None] * roots, driver="gelsd").solution
        self._weights: Tensor = solution[:-1, 0]

    def representation(self) -> Tensor:
        """Return the weights (1, K)."""
        return self._weights[None]
