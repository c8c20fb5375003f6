"""Connected components of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def connected_components(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    """Label the 8-connected components of a mask.

    Args:
        mask: Mask (H, W).

    Returns:
        The component of each pixel, whole numbers (H, W): 0 outside of the mask, then from 1; and
        the number of components.

    Example:
        >>> import numpy as np
        >>> labels, number = connected_components(np.eye(2, dtype=bool))
        >>> labels.tolist(), number
        ([[1, 0], [0, 1]], 1)
    """
    from scipy import ndimage

    labels, number = ndimage.label(mask, structure=np.ones((3, 3)))
    return labels, int(number)
