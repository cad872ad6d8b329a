"""The header fields that tell HTTP clients of a limit."""
import tidegate
from tidegate import Limit, headers


def test_a_grant_tells_the_rule_and_what_is_left_and_no_time_to_come_back(stopped):
    limit = Limit(2)
    decision = stopped.limiter("api", limit).key().try_acquire()
    assert headers("api", limit, decision) == {
        "RateLimit-Policy": '"api";q=2;w=1', "RateLimit": '"api";r=1;t=1',
    }


def test_a_refusal_tells_when_to_come_back(stopped):
    limit = Limit.sliding_window(2, per=60)
    refused = [stopped.limiter("api", limit).key().try_acquire() for _ in range(3)][-1]
    assert headers("api", limit, refused) == {
        "RateLimit-Policy": '"api";q=2;w=60', "RateLimit": '"api";r=0;t=60', "Retry-After": "60",
    }


def test_who_can_never_succeed_is_told_no_time(stopped):
    limit = Limit(2)
    assert "Retry-After" not in headers("api", limit, stopped.limiter("api", limit).key().try_acquire(3))


def test_no_name_breaks_out_of_a_header(stopped):
    limit = Limit(2)
    decision = stopped.limiter("api", limit).key().try_acquire()
    fields = headers('a"\r\nEvil: ü: 1\x0b', limit, decision)
    assert set(fields) == {"RateLimit-Policy", "RateLimit"}
    assert all(text.isascii() and text.isprintable() for text in fields.values())


def test_a_senseless_limit_has_no_headers(key):
    try:
        headers("api", Limit(0), key.peek())
    except tidegate.ArgumentError as error:
        assert "permits is 0" in str(error)
    else:
        raise AssertionError
