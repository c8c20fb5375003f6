"""The interval of a share."""

from __future__ import annotations

import math

LEVEL = 0.95


def wilson_interval(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association, 1927. Unlike Student's, it stays within [0, 1], and has a
    width where the share is 0 or 1.

    Args:
        share: Share, in [0, 1].
        number: Number of independent units that it is the share of, at least 1.

    Example:
        >>> low, high = wilson_interval(1.0, 20)
        >>> round(low, 3), round(high, 3)
        (0.839, 1.0)
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    centre = share + z**2 / (2 * number)
    half = z * math.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    scale = 1 + z**2 / number
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)
