"""How calls, errors, texts and handles of the control plane cross the border."""
import logging
import os
import threading
from contextlib import contextmanager
from ctypes import byref, c_void_p
from typing import Any, Callable, Iterator, NoReturn, Optional

from . import _abi
from ._enums import Status
from ._errors import ClosedError, ForkedError, TidegateError, error

log = logging.getLogger("tidegate")

# How long the main thread may be away before Python's signal handlers run, which only it does.
_SIGNALS_NS = 250 * 10**6


def call(function: Any, *arguments: Any) -> int:
    """Calls a function whose last argument is `error_out`; a failure is raised with the library's own words."""
    story = c_void_p()
    status: int = function(*arguments, byref(story))
    if status >= 0:
        return status
    try:
        message = _abi.error_message(story).decode("utf-8", "replace")
        raise error(status, message or Status(status).c_name, bool(_abi.error_is_retriable(story)))
    finally:
        _abi.error_free(story)


def longest_stay() -> int:
    """How many nanoseconds the calling thread may wait in the library at once."""
    return _SIGNALS_NS if threading.current_thread() is threading.main_thread() else _abi.FOREVER


def encode(string: str, what: str) -> bytes:
    """The text as the library takes it."""
    if not isinstance(string, str):
        raise TypeError(f"{what} must be a str, not {type(string).__name__}")
    return string.encode("utf-8")


def text(pointer: c_void_p) -> str:
    """The text behind the pointer, which is freed."""
    try:
        return str(_abi.text_data(pointer).decode("utf-8", "replace"))
    finally:
        _abi.text_free(pointer)


def quietly(give_back: Callable[[c_void_p], object], pointer: c_void_p) -> None:
    """Gives back where nobody could handle a failure. An unconfirmed goodbye harms nobody."""
    try:
        give_back(pointer)
    except TidegateError as why:
        log.warning("%s", why)


class Handle:
    """A native pointer that is given back once, and not while another thread is in a call with it.

    A forked child gives back nothing: the parent's threads, which that would need, are not there.
    """

    def __init__(self, pointer: c_void_p, what: str) -> None:
        self._pointer: Optional[c_void_p] = pointer
        # The same for the accelerator, 0 when it was closed. It calls with the interpreter lock held, and so counts no use.
        self._address = pointer.value or 0
        self._what = what
        self._users = 0
        self._give_back: Optional[Callable[[c_void_p], object]] = None
        # Reentrant: a signal handler may close what the main thread is using.
        self._lock = threading.RLock()
        self._process = os.getpid()

    def is_forked(self) -> bool:
        return os.getpid() != self._process

    @property
    def is_open(self) -> bool:
        return self._pointer is not None and not self.is_forked()

    def refuse(self) -> NoReturn:
        if self.is_forked():
            # Before any lock: another thread of the parent may have held it.
            raise ForkedError(
                f"{self._what} belongs to the process that this one was forked from; open a runtime here", Status.FORKED
            )
        raise ClosedError(f"{self._what} was closed", Status.CLOSED)

    @contextmanager
    def use(self) -> Iterator[c_void_p]:
        """The pointer, for as long as the block lasts."""
        if self.is_forked():
            self.refuse()
        with self._lock:
            pointer = self._pointer
            if pointer is None:
                self.refuse()
            self._users += 1
        try:
            yield pointer
        finally:
            with self._lock:
                self._users -= 1
                give_back = self._give_back if not self._users else None
            if give_back is not None:
                quietly(give_back, pointer)

    def close(self, give_back: Callable[[c_void_p], object]) -> None:
        """Gives the pointer back through `give_back`: now, or when the last call with it ends. Only the first time."""
        if self.is_forked():
            return
        with self._lock:
            pointer, self._pointer, self._address = self._pointer, None, 0
            if pointer is None:
                return
            if self._users:
                self._give_back = give_back
                return
        give_back(pointer)
