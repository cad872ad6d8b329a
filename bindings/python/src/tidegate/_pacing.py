"""Limiters that follow something: a consumer's lag, or how calls end."""
from ctypes import byref
from typing import Sequence

from . import _abi
from ._enums import LagUnit
from ._native import Handle, call, encode
from ._numbers import ppm, uint32, uint64
from ._time import Duration, nanoseconds


class Paced:
    """What of a `Limiter` changes its pace, of all tiers alike. Of this process alone: all that follow the same do the same."""

    _handle: Handle

    def pause_on_lag(self, above: int, below: int) -> None:
        """Stands still from a lag greater than `above` until one of `below` or less, and tells it as an event.

        Nothing refills, and the time is not made up for; what was there can be taken. The lag is what `observe_lag` is
        told, in any unit, or what `watch_lag` measures.
        """
        most, least = uint64(above, "above"), uint64(below, "below")
        with self._handle.use() as limiter:
            call(_abi.limiter_pause_on_lag, limiter, most, least)

    def slow_on_lag(self, start: int, end: int, floor: float) -> None:
        """Slows down as the lag grows: the whole rate up to `start`, `floor` (0.0 to 1.0) of it at `end` and beyond, and a
        straight line between. With `pause_on_lag` the slower counts."""
        first, last, least = uint64(start, "start"), uint64(end, "end"), ppm(floor, "floor")
        with self._handle.use() as limiter:
            call(_abi.limiter_slow_on_lag, limiter, first, last, least)

    def observe_lag(self, lag: int) -> None:
        """Says how far the consumer is behind."""
        behind = uint64(lag, "lag")
        with self._handle.use() as limiter:
            call(_abi.limiter_observe_lag, limiter, behind)

    def watch_lag(
        self, group: str, topics: Sequence[str] = (), unit: LagUnit = LagUnit.RECORDS, every: Duration = 1
    ) -> None:
        """Measures the lag of a consumer group in Kafka from now on; the group is never joined.

        No `topics`: all that the group has committed offsets for. LagUnit.MS needs `pause_on_lag` or `slow_on_lag`
        before: of their numbers only it is measured which are exceeded. Ends with the limiter. A lag that cannot be
        measured stays as it was, and `Runtime.health` says why. ConfigError without Kafka.
        """
        if isinstance(topics, str):
            raise TypeError("topics must be a list of names, not one str")
        name, several = encode(group, "a group's name"), b",".join(encode(topic, "a topic's name") for topic in topics)
        measure, pause = uint32(unit, "unit"), nanoseconds(every, "every")
        with self._handle.use() as limiter:
            call(_abi.limiter_watch_lag, limiter, name, len(name), several, len(several), measure, pause)

    def adapt(self, floor: float = 0.1, step: float = 0.05, cut: float = 0.3, every: Duration = 1) -> None:
        """Finds the rate that what is behind the limit bears, from the outcomes that `observe_outcome` is told.

        All parts are 0.0 to 1.0: the pace loses `cut` of itself after an overload, and gains `step` of the configured
        rate after a while without, once in `every` at most, never below `floor` and never above what is configured.
        """
        raw = _abi.Adaptive(
            struct_size=_abi.SIZES[_abi.Adaptive], floor_ppm=ppm(floor, "floor"), step_ppm=ppm(step, "step"),
            cut_ppm=ppm(cut, "cut"), every_ns=nanoseconds(every, "every"),
        )
        with self._handle.use() as limiter:
            call(_abi.limiter_adapt, limiter, byref(raw))

    def observe_outcome(self, overloaded: bool) -> None:
        """Says how a call ended: whether what was called had too much to do."""
        with self._handle.use() as limiter:
            call(_abi.limiter_observe_outcome, limiter, int(bool(overloaded)))
