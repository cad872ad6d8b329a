"""The answer to a request for permits."""
from typing import TYPE_CHECKING, Any, Tuple

from . import _abi, _accelerate
from ._enums import Basis, Status
from ._errors import RateLimitExceeded
from ._time import seconds

if TYPE_CHECKING or _accelerate.MODULE is None:
    _Native = _abi.Decision
else:
    _Native = _accelerate.MODULE.Decision


class Decision(_Native):
    """The answer to a request for permits; true when they were granted.

    It is the native struct itself, filled in place: nothing is copied and nothing is shared between calls.
    """

    __slots__ = ()
    _retry_after_ns: int
    _remaining: int
    _status: int
    _tier: int
    _basis: int

    @property
    def status(self) -> Status:
        """OK, DENIED, NEVER or TIMED_OUT; of a reservation also PENDING."""
        return Status(self._status)

    @property
    def retry_after(self) -> float:
        """Seconds until it is worth asking again: 0.0 when granted, `math.inf` when it can never be."""
        return seconds(self._retry_after_ns)

    @property
    def retry_after_ns(self) -> int:
        """The same in nanoseconds; 2**64 - 1 when it can never be."""
        return self._retry_after_ns

    @property
    def remaining(self) -> int:
        """Whole permits left in this process's share right after; a hint, as other threads go on."""
        return self._remaining

    @property
    def tier(self) -> int:
        """The index of the tier that decided; `Limiter.tier_names` has its name."""
        return self._tier

    @property
    def basis(self) -> Basis:
        """What the decision rests on."""
        return Basis(self._basis)

    def __eq__(self, other: object) -> bool:
        return bytes(self) == bytes(other) if isinstance(other, Decision) else NotImplemented

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __reduce__(self) -> Tuple[Any, ...]:
        return _decision, (bytes(self),)

    def __repr__(self) -> str:
        return (
            f"<Decision {self.status.name}: retry_after={self.retry_after}, remaining={self.remaining}, "
            f"basis={self.basis.name}>"
        )


def _decision(raw: bytes) -> Decision:
    return Decision.from_buffer_copy(raw)


def exceeded(decision: Decision, permits: int, what: str) -> RateLimitExceeded:
    """The exception for a decision that is an ordinary no."""
    amount = "1 permit" if permits == 1 else f"{permits} permits"
    if decision._status == Status.NEVER:
        text = f"{amount} of {what} can never be granted at once: more than its burst"
    else:
        text = f"no {amount} of {what} in time; retry after {decision.retry_after:.3g} s"
    return RateLimitExceeded(text, decision)
