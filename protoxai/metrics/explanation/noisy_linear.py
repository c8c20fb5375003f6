"""Noisy linear imputation: unknown pixels as weighted means of all their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

WEIGHTS = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12, (1, -1): 1 / 12}
"""Weight of a neighbour by its offset; the opposite one has the same."""
NOISE = 0.01
"""Standard deviation of the noise, as a share of that of the image's channel."""


def impute_noisy_linear(image: Tensor, removed: Tensor) -> Tensor:
    """Replace removed pixels by the solution of a linear system, with a little noise.

    Every removed pixel equals the weighted mean of its eight neighbours, removed ones included;
    direct neighbours weigh twice as much as diagonal ones, and those beyond the border nothing.
    Rong et al., "A consistent and efficient evaluation strategy for attribution methods" (ROAD),
    ICML 2022, section 4.2. The noise hides from the model where pixels were removed; it is the same
    in every call.

    Args:
        image: Floating-point image (C, H, W).
        removed: Pixels to replace, bool (n, H, W).

    Returns:
        Images (n, C, H, W). Without any pixel left, an image has its own mean colour everywhere.

    Example:
        >>> image = torch.tensor([[[1.0, 5.0, 3.0]]])
        >>> impute_noisy_linear(image, torch.tensor([[[False, True, False]]])).round(decimals=1)
        tensor([[[[1., 2., 3.]]]])
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    spread = image.double().cpu().std((1, 2), correction=0, keepdim=True)
    pixels = image.detach().double().cpu().numpy()
    filled = np.stack([_solved(pixels, mask) for mask in removed.cpu().numpy()])
    noisy = torch.from_numpy(filled) + NOISE * spread * noise
    return torch.where(removed[:, None], noisy.to(image), image)


def _solved(pixels: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the image (C, H, W) with the solution in place of the removed pixels."""
    from scipy.sparse import csc_array, eye_array
    from scipy.sparse.linalg import spsolve

    if removed.all():
        return np.broadcast_to(pixels.mean((1, 2), keepdims=True), pixels.shape)
    if not removed.any():
        return pixels
    unknown, means = int(removed.sum()), _neighbour_means(removed.shape)
    rows = means[removed.ravel()]
    system = csc_array(eye_array(unknown) - rows[:, removed.ravel()])
    known = rows[:, ~removed.ravel()] @ pixels.reshape(len(pixels), -1)[:, ~removed.ravel()].T
    filled = pixels.copy()
    filled[:, removed] = spsolve(system, known).reshape(unknown, len(pixels)).T
    return filled


def _neighbour_means(size: tuple[int, ...]) -> Any:
    """Return the sparse matrix (HW, HW) that maps an image to the means of neighbours."""
    from scipy.sparse import coo_array, csr_array, diags_array

    height, width = size
    number = np.arange(height * width).reshape(size)
    first, second, weight = [], [], []
    for (down, right), value in WEIGHTS.items():
        here = number[: height - down, max(0, -right) : width - max(0, right)]
        there = number[down:, max(0, right) : width + min(0, right)]
        first += [here.ravel(), there.ravel()]
        second += [there.ravel(), here.ravel()]
        weight += [np.full(2 * here.size, value)]
    places = np.concatenate(first), np.concatenate(second)
    matrix = csr_array(coo_array((np.concatenate(weight), places), shape=(number.size,) * 2))
    return csr_array(diags_array(1 / np.maximum(matrix.sum(1), 1e-300)) @ matrix)
