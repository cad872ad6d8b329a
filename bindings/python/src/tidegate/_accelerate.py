"""Finds the accelerator: a module in C that makes the calls that a program makes per request. Without it ctypes makes them.

The environment variable decides: 0 = never, 1 = always, an error where it cannot be; else wherever it can be.
"""
import importlib
import os
import sys
from typing import Any

from ._load import LibraryError

ENVIRONMENT = "TIDEGATE_PYTHON_ACCELERATOR"


def _find() -> Any:
    """The module, or None."""
    said = os.environ.get(ENVIRONMENT, "")
    if said not in ("", "0", "1"):
        raise LibraryError(f"{ENVIRONMENT} is {said!r}; it must be 0 (never), 1 (always) or unset")
    if said == "0":
        return None
    try:
        # It is made of what Python promises since 3.10. 3.9 would load the file all the same.
        if sys.version_info < (3, 10):
            raise ImportError("it needs Python 3.10")
        return importlib.import_module("._accelerator", __package__)
    except ImportError as why:
        if said == "1":
            raise LibraryError(f"{ENVIRONMENT} is 1, and the accelerator cannot be used: {why}") from why
        return None


MODULE: Any = _find()
