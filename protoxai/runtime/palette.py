"""Distinct colours for classes that have none of their own."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]
GOLDEN_RATIO = 0.618033988749895


def distinct_palette(num_classes: int) -> tuple[Colour, ...]:
    """Return colours that differ for neighbouring classes; they are the same at every call.

    The hue advances by the golden ratio, which spreads any number of classes over the circle.
    Lightness and saturation alternate, so that similar hues differ too.

    Args:
        num_classes: Number of colours, C.

    Returns:
        Colours (red, green, blue) of the C classes, 0-255.

    Example:
        >>> distinct_palette(3)
        ((208, 57, 57), (93, 135, 239), (143, 218, 37))
    """
    colours = []
    for index in range(num_classes):
        hue = (index * GOLDEN_RATIO) % 1.0
        lightness = (0.52, 0.65, 0.5, 0.38)[index % 4]
        saturation = (0.62, 0.82, 0.71)[index % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
