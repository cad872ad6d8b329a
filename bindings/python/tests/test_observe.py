"""What runtimes and keys say about themselves."""
import pytest
import tidegate
from conftest import alone
from tidegate import Basis, Feature, HealthState, Limit, Storage


def test_a_local_runtime_is_well_and_says_that_it_is_alone(runtime):
    assert runtime.health() == (HealthState.OK, "limits are local to this process") and runtime.health().is_ok
    info = runtime.storage_info()
    assert (info.storage, info.is_shared, info.is_persistent) == (Storage.MEMORY, False, False)
    assert (info.partitions, info.append_p50, info.ack_age) == (None, None, None)


def test_a_key_says_what_was_taken_of_it(key):
    key.try_acquire(2)
    key.try_acquire(4)
    status = key.status()
    assert (status.granted, status.refused, status.remaining, status.burst) == (2, 4, 3, 5)
    assert (status.basis, status.processes, status.waiting) == (Basis.LOCAL, 1, 0)


def test_rates_are_permits_a_second(runtime):
    status = runtime.limiter("x", Limit(3, per=2)).key().status()
    assert status.rate == status.share_rate == 1.5


def test_metrics_and_snapshot_count_the_same(runtime, key):
    key.try_acquire(2)
    metrics, snapshot = runtime.metrics(), runtime.snapshot()
    assert (metrics.keys, metrics.permits_granted, metrics.permits_refused) == (1, 2, 0)
    assert snapshot["metrics"]["permits_granted"] == 2 and snapshot["health"]["state"] == "ok"


def test_every_thing_shows_what_it_is(runtime, key):
    assert repr(runtime) == "<tidegate.Runtime open>"
    assert repr(key.limiter) == "<tidegate.Limiter 'five' Limit(permits=5, per=1e+06, burst=None)>"
    assert repr(key) == "<tidegate.Key 'a' of 'five'>"
    assert repr(key.try_acquire()) == "<Decision OK: retry_after=0.0, remaining=4, basis=LOCAL>"
    runtime.close()
    assert repr(runtime) == "<tidegate.Runtime closed>" and repr(key) == "<tidegate.Key 'a' of 'five' closed>"
    assert f"{HealthState.OK} {HealthState.OK:>3}" == "OK  OK"


@pytest.mark.skipif(Feature.KAFKA not in tidegate.FEATURES, reason="this library has no Kafka storage")
def test_without_a_broker_nothing_is_raised_and_health_says_why():
    config = alone(**{"bootstrap.servers": "127.0.0.1:1", "storage": "kafka"})
    with tidegate.Runtime(config) as runtime:
        key = runtime.limiter("x", Limit(5)).key("a")
        refused = key.try_acquire()
        assert not refused and refused.basis is Basis.NO_SHARE and refused.retry_after > 0
        health = runtime.health()
        assert health.state in (HealthState.CONNECTING, HealthState.DEGRADED) and health.message
        assert runtime.storage_info().storage is Storage.KAFKA
        assert key.status().processes is None
