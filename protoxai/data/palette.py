"""Colours of classes: the bit pattern of Pascal VOC, and made-up ones for sets without any."""

import colorsys

Colour = tuple[int, int, int]
GOLDEN_RATIO = 0.618033988749895


def distinct_palette(num_classes: int) -> tuple[Colour, ...]:
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


def bit_palette(num_classes: int) -> tuple[Colour, ...]:
    """The colours of Pascal VOC: the bits of the class number, dealt out to the channels.

    The lowest bit goes to red's highest, the next ones to green's and blue's, then to their second
    highest, and so on.

    Args:
        num_classes: how many colours, at most 256.

    Returns:
        As many tuples (red, green, blue), 0-255.

    Example:
        >>> bit_palette(4)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple(
        (_spread(number), _spread(number >> 1), _spread(number >> 2))
        for number in range(num_classes)
    )


def hex_palette(colours: str) -> tuple[Colour, ...]:
    """Colours written as in HTML, six digits each, with white space between them.

    Example:
        >>> hex_palette("ff0000 00ff80")
        ((255, 0, 0), (0, 255, 128))
    """
    channels = [tuple(bytes.fromhex(colour)) for colour in colours.split()]
    return tuple((red, green, blue) for red, green, blue in channels)


def _spread(bits: int) -> int:
    """Every third bit, the lowest first, as a channel's bits from the highest down."""
    return sum((bits >> 3 * place & 1) << 7 - place for place in range(3))
