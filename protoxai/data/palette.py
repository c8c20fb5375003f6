"""Colours of classes, as data sets define them."""

from protoxai.runtime.palette import Colour


def bit_palette(num_classes: int) -> tuple[Colour, ...]:
    """Return the colours of Pascal VOC, which spread the bits of the class number over RGB.

    The lowest three bits are the highest bits of red, green and blue, the next three their second
    highest, and so on.

    Args:
        num_classes: Number of colours, at most 256.

    Returns:
        Colours (red, green, blue) of the classes, 0-255.

    Example:
        >>> bit_palette(4)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple(
        (_spread(number), _spread(number >> 1), _spread(number >> 2))
        for number in range(num_classes)
    )


def hex_palette(colours: str) -> tuple[Colour, ...]:
    """Parse colours written as in HTML.

    Args:
        colours: Six hexadecimal digits per colour, separated by white space.

    Example:
        >>> hex_palette("ff0000 00ff80")
        ((255, 0, 0), (0, 255, 128))
    """
    channels = [tuple(bytes.fromhex(colour)) for colour in colours.split()]
    return tuple((red, green, blue) for red, green, blue in channels)


def _spread(bits: int) -> int:
    """Return a channel whose bits, from the highest down, are every third bit of a number."""
    return sum((bits >> 3 * place & 1) << 7 - place for place in range(3))
