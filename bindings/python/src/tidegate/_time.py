"""Durations, from whatever Python says them in to whole nanoseconds. No rounding but to the nearest one."""
import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Union

from ._abi import FOREVER
from ._enums import Status
from ._errors import ArgumentError

SECOND = 10**9


class Nanoseconds(int):
    """A duration in whole nanoseconds, for where a plain number would mean seconds."""

    def __repr__(self) -> str:
        return f"Nanoseconds({int(self)})"


Duration = Union[int, float, Fraction, Decimal, timedelta, Nanoseconds]
"""Seconds as any number, a `timedelta`, or `Nanoseconds`."""


def nanoseconds(duration: Duration, what: str) -> int:
    """The duration in ns. Infinity is as long as there is; what is negative or no duration is refused by name."""
    if isinstance(duration, Nanoseconds):
        exact = int(duration)
    elif isinstance(duration, timedelta):
        exact = ((duration.days * 86_400 + duration.seconds) * 10**6 + duration.microseconds) * 1_000
    elif isinstance(duration, (int, float, Fraction, Decimal)):
        if math.isnan(duration):
            raise ArgumentError(f"{what} is not a number; give seconds, a timedelta or Nanoseconds", Status.ARGUMENT)
        if math.isinf(duration) and duration > 0:
            return FOREVER
        if math.isinf(duration):
            exact = -1
        else:
            # Whole numbers all the way: a product of floats would be off by more than the value's own error.
            top, bottom = duration.as_integer_ratio()
            exact = (2 * top * SECOND + bottom) // (2 * bottom)
            exact = -1 if duration < 0 else exact
    else:
        raise TypeError(f"{what} must be seconds, a timedelta or Nanoseconds, not {type(duration).__name__}")
    if exact < 0:
        raise ArgumentError(f"{what} is {duration}; it cannot be negative", Status.ARGUMENT)
    return min(exact, FOREVER)


def literal(nanos: int) -> str:
    """The duration as source text: seconds where a short number says it exactly."""
    short = f"{nanos / SECOND:g}"
    return short if nanoseconds(float(short), "short") == nanos else repr(Nanoseconds(nanos))


def seconds(nanos: int) -> float:
    return math.inf if nanos == FOREVER else nanos / SECOND
