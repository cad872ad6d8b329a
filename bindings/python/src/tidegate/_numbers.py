"""Numbers that fit the border: ctypes would cut them silently."""
import operator
from typing import Union

from ._enums import Status
from ._errors import ArgumentError

FULL = 10**6
"""A whole, in parts per million."""


def integer(number: int, what: str) -> int:
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(number).__name__}") from None


def uint64(number: int, what: str, bits: int = 64) -> int:
    """The number, if it fits."""
    number = integer(number, what)
    if not 0 <= number < 2**bits:
        raise ArgumentError(f"{what} is {number}; it must be at least 0 and below 2**{bits}", Status.ARGUMENT)
    return number


def uint32(number: int, what: str) -> int:
    return uint64(number, what, 32)


def ppm(part: Union[int, float], what: str) -> int:
    """A part of a whole, 0.0 to 1.0, in parts per million."""
    if not isinstance(part, (int, float)):
        raise TypeError(f"{what} must be a number from 0 to 1, not {type(part).__name__}")
    if not 0 <= part <= 1:
        raise ArgumentError(f"{what} is {part}; it must be from 0 to 1", Status.ARGUMENT)
    return round(part * FULL)
