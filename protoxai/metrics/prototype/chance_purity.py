"""Purity of random patches, whose most frequent content is chosen after they are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


def chance_purity(frequencies: Sequence[float], patches: int) -> float:
    """Return the expected purity of random patches minus the frequency of what they show.

    It is above 0, because the most frequent content is chosen after the patches are seen: of ten
    patches that show one of two contents, equally frequent, 6.2 show the same.

    The patches have m of content i and no content has more, or as many and precedes i, with the
    probability ``patches!`` times the coefficient of ``x^patches`` in the product of
    ``(f_i x)^m / m!`` and, for each other content j, the sum of ``(f_j x)^n / n!`` over n ≤ m, or
    n < m if j precedes i.

    Args:
        frequencies: Frequency of each content, at least 0, with a sum of at most 1; what is missing
            is the frequency of patches that show nothing.
        patches: Number of patches.

    Returns:
        The difference, in [0, 1].

    Example:
        >>> round(chance_purity([0.5, 0.5], 10), 3)
        0.123
        >>> chance_purity([0.25, 0.75], 1)  # 0.25 * (1 - 0.25) + 0.75 * (1 - 0.75)
        0.375
    """
    shares = [*frequencies, max(1 - sum(frequencies), 0.0)]
    counts = np.arange(patches + 1)
    factorials = np.array([float(math.factorial(n)) for n in counts])
    # Terms of each content, then those of patches that show nothing.
    terms = np.array(shares)[:, None] ** counts / factorials

    def product(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.convolve(first, second)[: patches + 1]

    expected = 0.0
    for most in range(1, patches + 1):
        fewer, at_most = terms[:-1] * (counts < most), terms[:-1] * (counts <= most)
        one = (counts == 0).astype(float)
        before = list(accumulate(fewer, product, initial=one))
        after = list(accumulate(at_most[::-1], product, initial=terms[-1]))[::-1]
        for i, frequency in enumerate(frequencies):
            others = product(before[i], after[i + 1])
            probability = others[patches - most] * terms[i, most] * factorials[patches]
            expected += probability * (most / patches - frequency)
    return float(expected)
