"""Waiting in asyncio.

Those who wait for one key in one event loop stand in a line. Only the first asks the library, sleeps as long as it was
told, and asks again; were all to ask, each grant would cost as many calls as there are tasks, and count as many
refusals.
"""
import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Deque, Dict, Optional

from ._abi import FOREVER
from ._decision import Decision, exceeded
from ._enums import Basis, Status
from ._errors import RateLimitExceeded
from ._numbers import uint64
from ._time import SECOND

if TYPE_CHECKING:
    from ._key import Key

# By the loop itself, not by its id, which another could get later. A line is there only while somebody stands in it.
Lines = Dict[asyncio.AbstractEventLoop, Deque["asyncio.Future[None]"]]

# The library's "when to come back" is a time at which to ask, not a promise: with no share yet it may be days. A share
# may come through Kafka at any time, so look now and then.
_LONGEST_NAP = 0.25


async def acquire(key: "Key", permits: int, timeout_ns: Optional[int]) -> Decision:
    uint64(permits, "permits")
    loop = asyncio.get_running_loop()
    # What `tidegate_key_acquire` does of itself: a limit that throttles cuts the time-out to its longest delay.
    most = key._limiter._max_wait_ns
    timeout_ns = min(most if timeout_ns is None else timeout_ns, most)
    deadline = None if timeout_ns == FOREVER else loop.time() + timeout_ns / SECOND
    if loop not in key._lines:
        decision = key.try_acquire(permits)
        if decision:
            return decision
        if _hopeless(key, decision):
            raise exceeded(decision, permits, key._what())
    line = key._lines.setdefault(loop, deque())
    me: "asyncio.Future[None]" = loop.create_future()
    line.append(me)
    try:
        # No `await` between a grant and the return: a task that is cancelled holds nothing.
        while line[0] is not me:
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                raise too_late(key, permits)
            await asyncio.wait((me,), timeout=left)
        while True:
            decision = key.try_acquire(permits)
            if decision:
                return decision
            left = math.inf if deadline is None else deadline - loop.time()
            if _hopeless(key, decision):
                raise exceeded(decision, permits, key._what())
            if left <= 0:
                decision._status = Status.TIMED_OUT
                raise exceeded(decision, permits, key._what())
            await asyncio.sleep(min(left, decision.retry_after, _LONGEST_NAP))
    finally:
        line.remove(me)
        if not line:
            key._lines.pop(loop, None)
        elif not line[0].done():
            line[0].set_result(None)


def _hopeless(key: "Key", decision: Decision) -> bool:
    """Whether `tidegate_key_acquire` would refuse it at once, too."""
    return (
        decision.status == Status.NEVER or decision.basis == Basis.BREAKER
        or decision.status == Status.DENIED and decision.retry_after_ns > key._limiter._max_wait_ns
    )


def too_late(key: "Key", permits: int) -> RateLimitExceeded:
    """For one who never became first: when to come back is what one permit would wait now."""
    decision = key.peek()
    decision._status = Status.TIMED_OUT
    return exceeded(decision, permits, key._what())
