"""Configurations as the library takes them."""
from ctypes import c_void_p
from typing import Mapping, Union

from . import _abi
from ._enums import Outage
from ._native import call, encode

Property = Union[str, int, bool, Outage]


def fill(native: c_void_p, config: Mapping[str, Property]) -> None:
    """Sets each property of the native configuration."""
    for name, value in config.items():
        key, text_value = encode(name, "a property's name"), encode(_property(name, value), name)
        call(_abi.config_set, native, key, len(key), text_value, len(text_value))


def _property(name: str, value: object) -> str:
    """A property's value as text. The value is in no message: it may be a secret."""
    if isinstance(value, Outage):
        return value.name.lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return value
    raise TypeError(f"property {name!r} must be a str, int or bool, not {type(value).__name__}")
