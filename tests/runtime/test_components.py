import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protoxai.runtime.components import connected_components


def test_pixels_that_touch_at_a_corner_are_connected() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    labels, number = connected_components(mask)
    assert number == 3
    assert labels[0, 0] == labels[1, 1] > 0
    assert labels[0, 3] == labels[1, 3] > 0
    assert len({labels[0, 0], labels[0, 3], labels[3, 0]}) == 3
    assert not labels[~mask].any()


def test_an_empty_mask_has_no_components() -> None:
    labels, number = connected_components(np.zeros((2, 3), bool))
    assert number == 0
    assert labels.tolist() == [[0] * 3] * 2


@given(st.integers(0, 2**31))
def test_agrees_with_scikit_image(seed: int) -> None:
    from skimage.measure import label

    mask = np.random.default_rng(seed).random((7, 9)) > 0.6
    labels, number = connected_components(mask)
    expected = label(mask, connectivity=2)
    assert number == expected.max()
    # The numbering may differ, the partition may not.
    pairs = set(zip(labels.flat, expected.flat, strict=True))
    assert len(pairs) == len({own for own, _ in pairs}) == len({other for _, other in pairs})
