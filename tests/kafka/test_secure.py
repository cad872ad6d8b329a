"""Logins, certificates and rights on a real broker, through whole programs in four languages: health says what is wrong, and no
secret is printed anywhere. What the storage itself says in each case: tests/kafka_storage/login.rs.
"""
import os
import sys

import pytest

from cluster import Cluster
from fleet import ROOT, Fleet

LANGUAGES = ("rust", "c", "dotnet", "python")
RIGHT, WRONG = "ann-secret", "wr0ng-secret"


@pytest.fixture(scope="module")
def secure():
    with Cluster(brokers=1, with_login=True) as kafka:
        yield kafka.environment()


def login(secure, password, user="ann", authority="CA", mechanism="SCRAM-SHA-256", protocol="SASL_SSL"):
    """Properties for a listener with login and TLS."""
    properties = {"security.protocol": protocol, "sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    if protocol == "SASL_SSL":
        properties["ssl.ca.location"] = secure[f"TIDEGATE_TEST_KAFKA_{authority}"]
    return properties


def fleet_of(secure, listener="LOGINTLS"):
    return Fleet(secure[f"TIDEGATE_TEST_KAFKA_{listener}"], permits=1000, burst=1000)


def given(properties):
    return ["replication.factor=auto"] + [f"{name}={value}" for name, value in properties.items()]


def no_secret(text):
    assert "-secret" not in text, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_login_over_tls_works_in_every_language(secure, language):
    with fleet_of(secure) as fleet:
        worker, = fleet.start(language=language, pace=500, set=given(login(secure, RIGHT)))
        worker.until("a share", lambda tick: tick["granted"] > 0)
        fleet.stop()
        no_secret(worker.printed())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wrong_password_grants_nothing_in_any_language_and_is_not_printed(secure, language):
    with fleet_of(secure) as fleet:
        worker, = fleet.start(language=language, pace=500, set=given(login(secure, WRONG)))
        tick = worker.until("health says so", lambda tick: tick["health"] == "failed")
        assert tick["granted"] == 0
        fleet.stop()
        no_secret(worker.printed())


REFUSED = {
    "wrong password": (dict(password=WRONG), "`sasl.password`"),
    "wrong password, PLAIN": (dict(password=WRONG, mechanism="PLAIN"), "`sasl.password`"),
    "untrusted certificate": (dict(password=RIGHT, authority="OTHER_CA"), "`ssl.ca.location`"),
    "no right to anything": (dict(password="bob-secret", user="bob"), "grant"),
    "no right to create": (dict(password="uses-secret", user="uses"), "grant"),
    "no TLS to a listener that wants it": (dict(password=RIGHT, protocol="SASL_PLAINTEXT"), "security.protocol"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_health_says_what_to_change_and_no_secret(secure, case):
    how, names = REFUSED[case]
    with fleet_of(secure) as fleet:
        worker, = fleet.start(pace=500, set=given(login(secure, **how)), topic=f"t-none-{os.getpid()}")
        tick = worker.until("health says so", lambda tick: names in tick["health_message"])
        assert tick["granted"] == 0 and tick["health"] in ("failed", "degraded"), tick
        fleet.stop()
        no_secret(worker.printed())


@pytest.mark.parametrize("user, names", [("reads", "appending"), ("writes", "read")])
def test_half_of_the_rights_grants_nothing_and_health_names_the_other_half(secure, user, names):
    with fleet_of(secure) as fleet:
        topic = f"t-half-{os.getpid()}"
        owner, = fleet.start(pace=500, set=given(login(secure, RIGHT)), topic=topic)
        owner.until("a share", lambda tick: tick["granted"] > 0)
        worker, = fleet.start(pace=500, set=given(login(secure, f"{user}-secret", user=user)), topic=topic)
        tick = worker.until("health says so", lambda tick: tick["health"] == "failed")
        assert names in tick["health_message"] and "grant" in tick["health_message"] and tick["granted"] == 0, tick
        fleet.stop()
        no_secret(worker.printed())


@pytest.mark.parametrize("password", [RIGHT, WRONG])
def test_nothing_that_a_runtime_shows_holds_a_secret(secure, password):
    sys.path.insert(0, os.path.join(ROOT, "bindings", "python", "src"))
    import tidegate  # pylint: disable=import-outside-toplevel
    servers = {"bootstrap.servers": secure["TIDEGATE_TEST_KAFKA_LOGINTLS"], "replication.factor": "auto"}
    with tidegate.Runtime({**servers, **login(secure, password)}) as runtime:
        wanted = tidegate.HealthState.OK if password == RIGHT else tidegate.HealthState.FAILED
        key = runtime.limiter("secrets", tidegate.Limit(10, 1.0)).key("k")
        while runtime.health().state is not wanted:
            key.try_acquire()
        shown = [runtime, runtime.config, runtime.health(), runtime.snapshot(), runtime.storage_info(), runtime.metrics(), key]
        no_secret(" ".join(f"{one} {one!r}" for one in shown))
        with pytest.raises(tidegate.TidegateError) as refused:
            tidegate.Runtime({**servers, **login(secure, password), "security.protocol": "plaintext"})
        no_secret(str(refused.value))
        assert "sasl." in str(refused.value), "never a silent fallback"
