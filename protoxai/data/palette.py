"""Colours for classes that bring none of their own."""

import colorsys

GOLDEN_RATIO = 0.618033988749895


def distinct_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Colours that stay apart for neighbouring classes, the same for every call.

    The hue steps by the golden ratio, so that any number of classes is spread over the circle;
    lightness and saturation alternate to keep near hues apart.

    Args:
        num_classes: how many colours, C.

    Returns:
        C tuples (red, green, blue), 0-255.

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
