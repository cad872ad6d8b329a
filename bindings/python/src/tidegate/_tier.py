"""Tiers, and the contexts that name their buckets."""
from ctypes import Array, pointer
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import _abi
from ._enums import Status
from ._errors import ArgumentError
from ._limit import Limit
from ._native import encode
from ._numbers import uint64


class Tier(NamedTuple):
    """One of the limits that a limiter keeps at once: all of them give, or none does."""

    name: str
    """For people; each tier has another."""
    limit: Limit
    """Rate and burst of each bucket."""
    scope: Optional[str] = None
    """The dimension whose every value has a bucket of its own, such as "topic"; None: one bucket for everybody."""
    weight: int = 1
    """What one permit costs here; 1 to 1,000,000."""


def native(tiers: Sequence[Tier]) -> "Array[_abi.Tier]":
    """The tiers as C has them; the array keeps alive what it points at."""
    if not all(isinstance(tier, Tier) for tier in tiers):
        raise TypeError("tiers must be tidegate.Tier objects")
    if not 1 <= len(tiers) <= _abi.TIERS_MAX:
        raise ArgumentError(f"a limiter has 1 to {_abi.TIERS_MAX} tiers, not {len(tiers)}", Status.ARGUMENT)
    made: List[_abi.Tier] = []
    for tier in tiers:
        name = encode(tier.name, "a tier's name")
        scope = None if tier.scope is None else encode(tier.scope, "a tier's scope")
        weight = uint64(tier.weight, "weight")
        if not weight:
            raise ArgumentError(f"the weight of tier {tier.name!r} is 0; it must be at least 1", Status.ARGUMENT)
        made.append(_abi.Tier(
            struct_size=_abi.SIZES[_abi.Tier], name=name, name_len=len(name), scope=scope, scope_len=len(scope or b""),
            limit=pointer(tier.limit._native()), weight=weight,
        ))
    return (_abi.Tier * len(made))(*made)


def scopes(context: Mapping[str, str]) -> Tuple["Array[_abi.Scope]", int]:
    """The context as C has it, and how many dimensions it has."""
    made: List[_abi.Scope] = []
    for dimension, value in context.items():
        name, text = encode(dimension, "a dimension"), encode(value, f"the value of {dimension!r}")
        made.append(_abi.Scope(name, len(name), text, len(text)))
    return (_abi.Scope * len(made))(*made), len(made)
