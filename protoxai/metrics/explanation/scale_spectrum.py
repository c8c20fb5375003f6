"""Scale spectrum: at which sizes an attribution has its structure."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.concentration import complexity
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.runtime.resize import resize


def scale_spectrum(attribution: Tensor, bands: int = 5) -> Tensor:
    """Return the energy of attribution maps in the bands of a Laplacian pyramid.

    Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Comm. 1983. Each
    level is smoothed (1, 2, 1) and halved (bilinear); a band is what the coarser level, resized
    (bilinear), leaves over; the last band is the coarsest level itself. A band's energy is the mean
    of its squares, so that bands of different size compare.

    Args:
        attribution: (B, H, W); the shorter side at least ``2 ** (bands - 1)`` pixels.
        bands: how many, 2 or more.

    Returns:
        Energies (B, bands), finest first.

    Raises:
        ValueError: if the map is too small or there are too few bands.

    Example:
        >>> import torch
        >>> scale_spectrum(torch.ones(1, 16, 16), bands=3)
        tensor([[0., 0., 1.]])
    """
    check_maps(attribution)
    if bands < 2 or min(attribution.shape[1:]) < 2 ** (bands - 1):
        raise ValueError(
            f"{bands} bands came for maps of {tuple(attribution.shape[1:])} pixels, expected 2 or "
            f"more bands and sides of at least {2 ** (max(bands, 2) - 1)}: choose other bands"
        )
    finer = attribution.detach().double()[:, None]
    energies = []
    for _ in range(bands - 1):
        half = [(side + 1) // 2 for side in finer.shape[2:]]
        coarser = resize(_smooth(finer), half)
        energies.append((finer - resize(coarser, finer.shape[2:])).square().mean((1, 2, 3)))
        finer = coarser
    energies.append(finer.square().mean((1, 2, 3)))
    dtype = torch.promote_types(attribution.dtype, torch.float32)
    return torch.stack(energies, 1).to(dtype)


def _smooth(maps: Tensor) -> Tensor:
    # Centred, unlike a filter that drops every second pixel: flipping the map changes nothing.
    row = maps.new_tensor([0.25, 0.5, 0.25])
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), row.outer(row)[None, None])


class ScaleSpectrum(PerImageMetric):
    """Entropy of an attribution's energy over the bands of its Laplacian pyramid, in [0, 1].

    1 where all sizes have their share, 0 where one has all; higher is better: an explanation of
    several scales. NaN where the map is 0. Defined for any attribution.

    Args:
        bands: see :func:`scale_spectrum`.
        options: of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = ScaleSpectrum(bands=3)
        >>> metric.update(torch.ones(1, 16, 16))
        >>> float(metric.compute())
        0.0
    """

    figures: ClassVar[dict[str, bool | None]] = {"scale_spectrum": True}
    higher_is_better = True

    def __init__(self, bands: int = 5, **options: Any) -> None:
        super().__init__(**options)
        self.bands = bands

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Take in attribution maps (B, H, W)."""
        entropy = complexity(scale_spectrum(attribution, self.bands)) / math.log(self.bands)
        self._keep(self._numbers(index, len(attribution)), entropy)
