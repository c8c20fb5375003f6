from protoxai.data.palette import bit_palette, hex_palette


def test_bits_of_the_class_number():
    palette = bit_palette(256)
    assert len(set(palette)) == 256
    assert palette[15] == (192, 128, 128)
    assert palette[255] == (224, 224, 192)  # the void border as it is shown


def test_hexadecimal():
    assert hex_palette("0a0Bff\n 000001") == ((10, 11, 255), (0, 0, 1))
