"""Scale spectrum: sizes of the structures in an attribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai.metrics.base.checks import check_maps
from protoxai.metrics.base.explained_task import ExplainedTask
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.base.registry import register_metric
from protoxai.metrics.explanation.complexity import complexity
from protoxai.runtime.checks import Range, whole
from protoxai.runtime.resize import resize

BANDS = Range(least=2, most=30)


def scale_spectrum(attribution: Tensor, bands: int = 5) -> Tensor:
    """Return the energy of attribution maps, less their mean, in the bands of a Laplacian pyramid.

    Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Comm. 1983. Each
    level is smoothed (1, 2, 1) and halved (bilinear). A band is a level minus the next coarser
    one, resized (bilinear); the last band is the coarsest level itself. A band's energy is the mean
    of its squares, so that bands of different sizes are comparable.

    Args:
        attribution: Attribution maps (B, H, W); the shorter side has at least ``2 ** (bands - 1)``
            pixels.
        bands: Number of bands, at least 2.

    Returns:
        Energies (B, bands), the finest band first.

    Raises:
        ValueError: If the map is too small or there are too few bands.

    Example:
        >>> import torch
        >>> scale_spectrum(torch.arange(2.0).repeat_interleave(8).expand(1, 16, 16), bands=3)
        tensor([[0.0134, 0.0141, 0.1841]])
    """
    check_maps(attribution)
    bands = whole("bands", bands, BANDS)
    if min(attribution.shape[1:]) < 2 ** (bands - 1):
        raise ValueError(
            f"got {bands} bands for an attribution of {tuple(attribution.shape[1:])} pixels, "
            f"expected sides of at least {2 ** (bands - 1)}: choose fewer bands"
        )
    finer = attribution.detach().double()[:, None]
    largest = finer.abs().amax((1, 2, 3), keepdim=True)
    finer = finer - finer.mean((2, 3), keepdim=True)
    # A constant map has no energy, however its mean is rounded.
    finer = finer.masked_fill(finer.abs() <= 1e-12 * largest, 0)
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
    # The filter is centred, unlike one that drops every second pixel, so that flipping the map
    # changes nothing.
    row = maps.new_tensor([0.25, 0.5, 0.25])
    return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), row.outer(row)[None, None])


@register_metric("scale_spectrum")
class ScaleSpectrum(PerImageMetric):
    """Entropy of an attribution's energy over the bands of its Laplacian pyramid, in [0, 1].

    It is 1 if all sizes have the same energy and 0 if one has all, which
    describes an explanation and does not rank it. NaN where the map is constant. See
    :func:`scale_spectrum`.

    Args:
        bands: Number of bands, at least 2.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> metric = ScaleSpectrum(bands=3)
        >>> metric.update(torch.arange(2.0).repeat_interleave(8).expand(1, 16, 16))
        >>> round(float(metric.compute()), 3)
        0.434
    """

    figures: ClassVar[dict[str, bool | None]] = {"scale_spectrum": None}
    higher_is_better = None

    def __init__(self, bands: int = 5, **options: Any) -> None:
        super().__init__(**options)
        self.bands = whole("bands", bands, BANDS)

    def update(self, attribution: Tensor, index: Index = None) -> None:
        """Add attribution maps (B, H, W)."""
        entropy = complexity(scale_spectrum(attribution, self.bands)) / math.log(self.bands)
        self.add_values(entropy, index)

    def update_from(self, explained: ExplainedTask) -> None:
        """Add the map of an explained task."""
        self.update(explained.map, index=explained.index)
