"""Reservations: permits that are held, or a place in line for them."""
from typing import TYPE_CHECKING

from . import _abi
from ._decision import Decision
from ._enums import Status
from ._errors import error, key_error
from ._numbers import uint64

if TYPE_CHECKING:
    from ._key import Key


class Reservation:
    """What `Key.reserve` made. End it with `settle` or `cancel`: what it holds counts against the burst until then.

    True when it holds its permits.
    """

    __slots__ = ("decision", "_key", "_ticket", "_granted")

    def __init__(self, key: "Key", ticket: int, decision: Decision) -> None:
        self.decision = decision
        """The latest answer: granted, pending with the time to poll, or why there is nothing."""
        self._key, self._ticket, self._granted = key, ticket, decision.status == Status.OK

    @property
    def is_pending(self) -> bool:
        return bool(self.decision.status == Status.PENDING)

    def __bool__(self) -> bool:
        return self._granted

    def poll(self) -> Decision:
        """Whether it is its turn now: granted, once; PENDING, with the time to poll again; or TIMED_OUT, which ends it."""
        decision = Decision()
        self._check(_abi.ticket_poll(self._ticket, decision._as_parameter_))
        self.decision = decision
        self._granted = self._granted or decision.status == Status.OK
        return decision

    def cancel(self) -> None:
        """Ends it and gives everything back: its place in line, or what it holds."""
        self._check(_abi.ticket_cancel(self._ticket))
        self._granted = False

    def settle(self, used: int) -> None:
        """Ends it: `used` were used. What is left comes back at once; what is beyond is owed, and comes off what refills."""
        self._check(_abi.ticket_settle(self._ticket, uint64(used, "used")))
        self._granted = False

    def _check(self, status: int) -> None:
        if status == Status.ARGUMENT:
            what = f"the reservation of {self._key._what()} is pending"
            raise error(status, f"{what}: poll it until it is granted, or cancel it")
        if status < 0:
            raise key_error(status, "the reservation of " + self._key._what())
