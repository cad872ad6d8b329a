#!/usr/bin/env python3
"""The walkthrough in Python: README.md here says what it does, expected.txt what it prints."""
import os
import sys

CHECKOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python", "src")
if os.path.isdir(CHECKOUT):
    sys.path.insert(0, CHECKOUT)

import tidegate  # noqa: E402


def yes(flag):
    return "yes" if flag else "no"


def main():
    print(f"version {tidegate.LIBRARY_VERSION}, ABI {tidegate.ABI_VERSION}")
    try:
        tidegate.Runtime({"no.such.property": "1"})
    except tidegate.ConfigError as error:
        print(f"unknown property: {error.status.c_name}")

    with tidegate.Runtime({"storage": "memory"}) as runtime:
        info = runtime.storage_info()
        storage = info.storage.name.lower()
        print(f"storage: {storage}, shared: {yes(info.is_shared)}, persistent: {yes(info.is_persistent)}")

        limit = tidegate.Limit(permits=5, per=1, burst=5)
        limiter = runtime.limiter("walkthrough", limit)
        period = limiter.limit.per_ns // 1_000_000
        print(f'limiter "{limiter.name}": {limit.permits} permits per {period} ms, burst {limit.burst}')

        key = limiter.key("tenant-1")
        acquired = sum(bool(key.try_acquire()) for _ in range(5))
        print(f"acquired {acquired} of 5")
        sixth = key.try_acquire()
        print(f"sixth: {sixth.status.name}, retry within 200 ms: {yes(0 < sixth.retry_after <= 0.2)}")
        print(f"peek: {key.peek().status.name}")
        print(f"acquire with a timeout of 2 s: {key.acquire(timeout=2).status.name}")
        try:
            key.acquire(5, timeout=0.001)
        except tidegate.RateLimitExceeded as refused:
            print(f"acquire with a timeout of 1 ms for 5: {refused.status.name}")
        print(f"six at once: {key.try_acquire(6).status.name}")
        try:
            key.try_acquire(0)
        except tidegate.ArgumentError as error:
            print(f"zero: {error.status.c_name}")
        print(f"granted by this process: {key.status().granted}")
        key.release()
        try:
            key.release()
        except tidegate.ClosedError as error:
            print(f"released twice: {error.status.c_name}")
        print(f"health: {runtime.health().state.name.lower()}")


if __name__ == "__main__":
    main()
