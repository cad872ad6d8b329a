"""What an HTTP server tells its clients of a limit."""
from ctypes import byref, c_void_p
from typing import Dict

from . import _abi
from ._decision import Decision
from ._limit import Limit
from ._native import call, encode, text


def headers(name: str, limit: Limit, decision: Decision) -> Dict[str, str]:
    """The HTTP header fields of a decision by name: RateLimit-Policy, RateLimit, and Retry-After where it was refused.

    `name` is that of the limit for the client, such as "orders". Asks nothing and changes nothing.
    """
    if not isinstance(decision, Decision):
        raise TypeError(f"decision must be a tidegate.Decision, not {type(decision).__name__}")
    encoded, native, lines = encode(name, "a limit's name"), limit._native(), c_void_p()
    call(_abi.headers_format, encoded, len(encoded), byref(native), decision._as_parameter_, byref(lines))
    return {field: value for field, _, value in (line.partition(": ") for line in text(lines).splitlines())}
