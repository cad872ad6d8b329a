"""Failures: a type for each status, the library's own words, and no secret in them."""
import pickle

import pytest
import tidegate
from conftest import alone
from tidegate import Limit, Outage, Status
from tidegate._errors import _TYPES, error


@pytest.mark.parametrize("status", [status for status in Status if status < 0])
def test_every_failure_has_a_type_and_survives_pickling(status):
    raised = error(status, "words", True)
    again = pickle.loads(pickle.dumps(raised))
    for one in (raised, again):
        assert type(one) is _TYPES[status] and (one.status, str(one), one.is_retriable) == (status, "words", True)
        assert type(one).__module__ == "tidegate"


def test_a_failure_of_a_newer_library_is_still_one():
    raised = error(-77, "words")
    assert type(raised) is tidegate.TidegateError and raised.status == -77 and raised.status.name == "UNKNOWN_MINUS_77"


def test_a_refused_wait_survives_pickling(key):
    with pytest.raises(tidegate.RateLimitExceeded) as refused:
        key.acquire(6)
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.decision) == (str(refused.value), refused.value.decision)


def test_an_unknown_property_is_refused_by_its_name():
    with pytest.raises(tidegate.ConfigError, match="no.such.property"):
        tidegate.Runtime({"no.such.property": "1"})


def test_a_bad_value_is_refused_with_what_was_expected():
    with pytest.raises(tidegate.ConfigError, match="`ttl.ms` is `soon`; expected milliseconds"):
        tidegate.Runtime({"ttl.ms": "soon"})


def test_properties_may_be_text_numbers_and_policies():
    with tidegate.Runtime(alone(**{"ttl.ms": 900, "on.outage": Outage.DENY, "keys.max": "7"})) as runtime:
        lines = runtime.config.splitlines()
    assert {"ttl.ms = 900", "on.outage = deny", "keys.max = 7"} <= set(lines)


@pytest.mark.parametrize("value", [None, 1.5, b"hunter2", ["hunter2"]])
def test_a_property_of_another_type_is_refused_without_showing_it(value):
    with pytest.raises(TypeError, match="'sasl.password' must be a str, int or bool") as refused:
        tidegate.Runtime({"sasl.password": value})
    assert "hunter2" not in str(refused.value)


def test_a_name_that_is_open_with_other_numbers_is_refused(runtime):
    first = runtime.limiter("x", Limit(1))
    assert runtime.limiter("x", Limit(1))
    with pytest.raises(tidegate.ArgumentError, match="`x` is open in this process with other numbers"):
        runtime.limiter("x", Limit(2))
    first.close()
    assert runtime.limiter("x", Limit(2)), "nothing holds the old numbers any more"


@pytest.mark.parametrize("name", ["", "x" * 1025])
def test_a_bad_name_is_refused(runtime, name):
    with pytest.raises(tidegate.ArgumentError, match="limiter name has"):
        runtime.limiter(name, Limit(1))


def test_more_keys_than_allowed_are_refused_and_a_closed_one_makes_room():
    with tidegate.Runtime(alone(**{"keys.max": 2})) as runtime:
        limiter = runtime.limiter("x", Limit(1))
        first = limiter.key("a")
        limiter.key("b")
        with pytest.raises(tidegate.CapacityError, match="keys.max"):
            limiter.key("c")
        first.close()
        assert limiter.key("c").try_acquire()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda runtime: runtime.limiter("x", 1000), "limit must be a tidegate.Limit, not int"),
        (lambda runtime: runtime.limiter(5, Limit(1)), "a limiter's name must be a str, not int"),
        (lambda runtime: runtime.limiter("x", Limit(1)).key(5), "a key's value must be a str, not int"),
        (lambda runtime: runtime.limiter("x", Limit(1)).key(b"a"), "a key's value must be a str, not bytes"),
        (lambda runtime: Limit("5/s"), "permits must be an int, not str"),
        (lambda runtime: Limit(5, burst=1.5), "burst must be an int, not float"),
        (lambda runtime: tidegate.Runtime("localhost:9092"), "a configuration is a dict of properties, not str"),
        (lambda runtime: tidegate.Runtime({5: "x"}), "a property's name must be a str, not int"),
        (lambda runtime: runtime.close(timeout="5"), "timeout must be seconds"),
    ],
)
def test_a_thing_of_the_wrong_type_is_refused_by_its_name(runtime, call, words):
    with pytest.raises(TypeError, match=words):
        call(runtime)


def test_an_argument_error_is_a_value_error_too(key):
    with pytest.raises(ValueError):
        key.try_acquire(0)


@pytest.mark.parametrize("what", ["Runtime", "Limiter", "Key"])
def test_what_is_open_refuses_to_be_pickled_and_says_what_to_do(runtime, key, what):
    handle = {"Runtime": runtime, "Limiter": key.limiter, "Key": key}[what]
    with pytest.raises(TypeError, match=f"a tidegate.{what} cannot be pickled: pass its"):
        pickle.dumps(handle)
