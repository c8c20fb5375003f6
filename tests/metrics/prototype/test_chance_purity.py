import itertools
import math

import pytest

from protoxai.metrics.prototype.chance_purity import chance_purity


def enumerated(frequencies: list[float], patches: int) -> float:
    """The expected difference over all sequences of contents; the last one is nothing."""
    probabilities = [*frequencies, 1 - sum(frequencies)]
    expected = 0.0
    for sequence in itertools.product(range(len(probabilities)), repeat=patches):
        counts = [sequence.count(i) for i in range(len(frequencies))]
        most = max(counts)
        if most:
            difference = most / patches - frequencies[counts.index(most)]
            expected += difference * math.prod(probabilities[i] for i in sequence)
    return expected


@pytest.mark.parametrize(
    "frequencies", [[0.5, 0.5], [0.2, 0.3, 0.1], [1.0], [0.0, 0.7], [0.0], [0.25] * 4]
)
@pytest.mark.parametrize("patches", [1, 2, 5])
def test_chance_agrees_with_an_enumeration(frequencies: list[float], patches: int) -> None:
    expected = pytest.approx(enumerated(frequencies, patches), abs=1e-12)
    assert chance_purity(frequencies, patches) == expected


def test_chance_by_hand() -> None:
    # Of two patches, both show the same half of the time.
    assert chance_purity([0.5, 0.5], 2) == pytest.approx((1 + 0.5) / 2 - 0.5)
    # Many patches show the most frequent part as often as it is.
    assert chance_purity([0.8, 0.2], 100) == pytest.approx(0, abs=1e-6)
