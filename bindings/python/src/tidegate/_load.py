"""Finds the shared library and checks that it is the one that this package was written for."""
import ctypes
import os
import sys
from typing import List, Tuple

ABI_VERSION = 1
ENVIRONMENT = "TIDEGATE_LIBRARY"


class LibraryError(ImportError):
    """The shared library was not found, cannot be loaded, or is of another ABI."""


def _file_name() -> str:
    return {"darwin": "libtidegate.dylib", "win32": "tidegate.dll"}.get(sys.platform, "libtidegate.so")


def find() -> str:
    """Where to load the library from: a path, or a name for the system's loader."""
    said = os.environ.get(ENVIRONMENT)
    if said:
        # Somebody who names a file wants that one: no other is taken in its place.
        if not os.path.isfile(said):
            raise LibraryError(f"{ENVIRONMENT} is {said!r}, which is no file")
        return os.path.abspath(said)
    package = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.join(package, "..", "..", "..", "..")
    for folder in (package, os.path.join(checkout, "target", "release")):
        path = os.path.normpath(os.path.join(folder, _file_name()))
        if os.path.isfile(path):
            return path
    return {"darwin": "libtidegate.1.dylib", "win32": "tidegate.dll"}.get(sys.platform, f"libtidegate.so.{ABI_VERSION}")


def load() -> Tuple[str, ctypes.CDLL, ctypes.PyDLL]:
    """The library twice: as one that lets other threads run during a call, and as one that does not (see `_abi`)."""
    path = find()
    try:
        waiting, quick = ctypes.CDLL(path), ctypes.PyDLL(path)
    except OSError as why:
        raise LibraryError(
            f"the Tidegate library cannot be loaded: {why}. Install a wheel that holds it, build it with "
            f"`cargo build --release`, or name the file in {ENVIRONMENT}"
        ) from why
    try:
        abi_version = waiting.tidegate_abi_version
    except AttributeError:
        raise LibraryError(f"{path} is not the Tidegate library: it has no tidegate_abi_version") from None
    abi_version.restype, abi_version.argtypes = ctypes.c_uint32, ()
    found = abi_version()
    if found != ABI_VERSION:
        raise LibraryError(
            f"{path} has ABI {found}, this package needs ABI {ABI_VERSION}: install the same version of both"
        )
    return path, waiting, quick


def missing(path: str, names: List[str]) -> LibraryError:
    return LibraryError(f"{path} is older than this package: it lacks {', '.join(names)}")
