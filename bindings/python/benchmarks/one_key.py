#!/usr/bin/env python3
"""One key from Python, beside aiolimiter, limits and throttled-py: microseconds of processor time per call.

    pip install -r benches/requirements.txt && python bindings/python/build_accelerator.py
    PYTHONPATH=bindings/python/src python bindings/python/benchmarks/one_key.py [--json] [--quick]

All take turns in short rounds of one event loop, so that a noisy machine disturbs all alike. Each has a loop of its own
below, as a program would have it: calling it through a function would cost as much as some of them take.
"""
import asyncio
import gc
import importlib
import json
import os
import statistics
import sys
import time

import tidegate

CALLS, ROUNDS = 3_000, 10 if "--quick" in sys.argv else 40
PLENTY, DAY = 10**9, 86_400
TEXT = "tenant-1"


def without_accelerator():
    """The package a second time, as it is where the accelerator is not."""
    mine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "tidegate"}
    before = os.environ.get("TIDEGATE_PYTHON_ACCELERATOR", "")
    os.environ["TIDEGATE_PYTHON_ACCELERATOR"] = "0"
    try:
        return importlib.import_module("tidegate")
    finally:
        os.environ["TIDEGATE_PYTHON_ACCELERATOR"] = before
        sys.modules.update(mine)


def of_ctypes(permits, per):
    if not tidegate.ACCELERATED:
        return {}
    package = without_accelerator()
    key = package.Runtime({"storage": "memory"}).limiter(f"{permits} in {per} s, ctypes", package.Limit(permits, per)).key(TEXT)

    async def by_key():
        return sum(1 for _ in range(CALLS) if key.try_acquire())

    return {"tidegate, by key, without the accelerator": by_key}


def of_tidegate(permits, per):
    limit, runtime = tidegate.Limit(permits=permits, per=per), tidegate.Runtime({"storage": "memory"})
    limiter, idle = (runtime.limiter(f"{permits} in {per} s, {how}", limit) for how in ("held", "idle"))
    key = limiter.key(TEXT)

    async def by_key():
        return sum(1 for _ in range(CALLS) if key.try_acquire())

    async def by_text():
        return sum(1 for _ in range(CALLS) if limiter.key(TEXT).try_acquire())

    async def by_value():
        return sum(1 for _ in range(CALLS) if idle.try_acquire(TEXT))

    async def in_batches():
        batch = [key] * 30
        return sum(1 for _ in range(CALLS // 30) for decision in tidegate.try_acquire_each(batch) if decision)

    return {"tidegate, by key": by_key, "tidegate, by text, key held": by_text, "tidegate, by text, no key": by_value,
            "tidegate, 30 in a batch": in_batches}


def of_aiolimiter(permits, per):
    import aiolimiter
    limiter = aiolimiter.AsyncLimiter(permits, per)

    async def one_after_the_other():
        granted = 0
        for _ in range(CALLS):
            if limiter.has_capacity():
                await limiter.acquire()
                granted += 1
        return granted

    return {"aiolimiter, has_capacity + acquire": one_after_the_other}


def of_limits(permits, per):
    import limits

    def hits(strategy):
        limiter = strategy(limits.storage.MemoryStorage())
        item = limits.RateLimitItemPerSecond(permits, per)

        async def hit():
            return sum(1 for _ in range(CALLS) if limiter.hit(item, TEXT))

        return hit

    # Its moving window keeps a list of all hits, at whose front each new one is put in: no match for so many permits.
    return {"limits, fixed window": hits(limits.strategies.FixedWindowRateLimiter),
            "limits, sliding counter": hits(limits.strategies.SlidingWindowCounterRateLimiter)}


def of_throttled(permits, per):
    import datetime

    import throttled

    def calls(algorithm):
        quota = throttled.rate_limiter.per_duration(datetime.timedelta(seconds=per), limit=permits, burst=permits)
        limiter = throttled.Throttled(using=algorithm, quota=quota, store=throttled.MemoryStore())

        async def limit():
            return sum(1 for _ in range(CALLS) if not limiter.limit(TEXT).limited)

        return limit

    return {"throttled-py, token bucket": calls("token_bucket"), "throttled-py, GCRA": calls("gcra")}


async def measure(case, permits, per, expected):
    contenders = {}
    for of in (of_tidegate, of_ctypes, of_aiolimiter, of_limits, of_throttled):
        contenders.update(of(permits, per))
    rounds = {who: [] for who in contenders}
    # The first two warm up, and use up what there is of a dry limit.
    for number in range(ROUNDS + 2):
        names = list(contenders)
        for who in names[number % len(names):] + names[:number % len(names)]:
            begin = time.thread_time_ns()
            granted = await contenders[who]()
            end = time.thread_time_ns()
            if number >= 2:
                if granted != expected:
                    raise SystemExit(f"{case}: {who}: {granted} of {CALLS} calls were granted")
                rounds[who].append((end - begin) / CALLS / 1000)
    for who, each in rounds.items():
        if "--json" in sys.argv:
            print(json.dumps({"part": "python", "case": case, "who": who, "unit": "us", "rounds": [round(us, 4) for us in each]}))
        else:
            print(f"{case:20} {who:42} {statistics.median(each):8.2f} us")


def main():
    gc.disable()
    asyncio.run(measure("one key, granted", PLENTY, 1, CALLS))
    asyncio.run(measure("one key, refused", 2, DAY, 0))


if __name__ == "__main__":
    main()
