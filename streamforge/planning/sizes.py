"""Lengths of pictures in pixels: even ones, because 4:2:0 has one colour for every two by two."""


def nearest_even(length: float) -> int:
    """At least 2."""
    return max(2, round(length / 2) * 2)


def largest_even(length: int) -> int:
    """Of those that are no longer, at least 2."""
    return max(2, length // 2 * 2)
