"""The decorator."""
import asyncio
import inspect

import pytest
import tidegate
from tidegate import Limit


@pytest.fixture
def limiter(runtime):
    return runtime.limiter("calls", Limit(2, per=1e6))


def test_a_function_is_called_as_often_as_the_limit_allows(limiter):
    @limiter.throttle("f", timeout=0)
    def double(x):
        """Twice."""
        return 2 * x

    assert [double(1), double(2)] == [2, 4]
    with pytest.raises(tidegate.RateLimitExceeded):
        double(3)
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


def test_a_coroutine_function_stays_one(limiter):
    @limiter.throttle("g", permits=2, timeout=0)
    async def double(x):
        return 2 * x

    assert inspect.iscoroutinefunction(double)
    assert asyncio.run(double(1)) == 2
    with pytest.raises(tidegate.RateLimitExceeded):
        asyncio.run(double(2))


def test_the_key_may_come_from_the_arguments(limiter):
    @limiter.throttle(lambda user: user, permits=2, timeout=0)
    def handle(user):
        return user

    assert (handle("a"), handle("b")) == ("a", "b")
    with pytest.raises(tidegate.RateLimitExceeded):
        handle("a")
