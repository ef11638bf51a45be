"""The 27 symbols of text8, and what their codes spell."""

SYMBOLS = " abcdefghijklmnopqrstuvwxyz"


def as_text(codes):
    return "".join(SYMBOLS[code] for code in codes)
