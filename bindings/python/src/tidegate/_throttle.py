"""The decorator `Limiter.throttle`."""
import functools
import inspect
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union

from ._time import Duration

if TYPE_CHECKING:
    from ._limiter import Limiter

_F = TypeVar("_F", bound=Callable[..., Any])


def decorator(
    limiter: "Limiter", key: Union[str, Callable[..., str]], permits: int, timeout: Optional[Duration]
) -> Callable[[_F], _F]:
    def value(args: Any, kwargs: Any) -> str:
        return key if isinstance(key, str) else key(*args, **kwargs)

    def decorate(function: Any) -> Any:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def throttled_async(*args: Any, **kwargs: Any) -> Any:
                await limiter.key(value(args, kwargs)).acquire_async(permits, timeout)
                return await function(*args, **kwargs)

            return throttled_async

        @functools.wraps(function)
        def throttled(*args: Any, **kwargs: Any) -> Any:
            limiter.key(value(args, kwargs)).acquire(permits, timeout)
            return function(*args, **kwargs)

        return throttled

    return decorate
