"""Numbers with as many digits as their intervals justify."""

from __future__ import annotations

import math

DIGITS = 4
"""Largest number of decimal places; smaller numbers have an exponent."""


def with_interval(mean: float, low: float, high: float) -> str:
    """Return a figure with its interval, both with the same number of decimal places.

    Args:
        mean: The figure.
        low: Lower end of the interval; NaN if there is none.
        high: Upper end of the interval.

    Example:
        >>> with_interval(0.06041, -0.0919, 0.2127)
        '0.06 [-0.09, 0.21]'
        >>> with_interval(0.0000757, 0.000061, 0.00009)
        '7.6e-05 [6.1e-05, 9e-05]'
        >>> with_interval(2.0, 2.0, 2.0), with_interval(0.25, math.nan, math.nan)
        ('2 [2, 2]', '0.25')
    """
    if math.isnan(low):
        return f"{mean:.3g}"
    half = (high - low) / 2
    places = 1 - math.floor(math.log10(half)) if half > 0 else DIGITS + 1
    if places > DIGITS:
        significant = 2 if half > 0 else 3
        return f"{mean:.{significant}g} [{low:.{significant}g}, {high:.{significant}g}]"
    places = max(places, 0)
    # Adding 0 makes -0.0 a 0.
    rounded = (round(value, places) + 0.0 for value in (mean, low, high))
    mean_text, low_text, high_text = (f"{value:.{places}f}" for value in rounded)
    return f"{mean_text} [{low_text}, {high_text}]"
