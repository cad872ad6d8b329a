namespace Tidegate.Tests;

/// <summary>Bytes are exact where nanoseconds are not: what a decision costs the garbage collector.</summary>
public sealed class AllocationTests : IDisposable
{
    private const int Calls = 10_000;

    private readonly TidegateRuntime _runtime = Setup.Open();

    public void Dispose() => _runtime.Dispose();

    private static long BytesOf(Action act)
    {
        for (int i = 0; i < 1_000; i++)
        {
            act();
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Calls; i++)
        {
            act();
        }
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    [Fact]
    public void A_granted_call_allocates_nothing()
    {
        TidegateLimiter limiter = _runtime.CreateLimiter("orders", Setup.Still(burst: 1_000_000));
        TidegateKey key = limiter.GetKey("tenant-1");
        Assert.Equal(0, BytesOf(() => Assert.True(key.TryAcquire())));
        Assert.Equal(0, BytesOf(() => Assert.True(key.TryAcquire(1, out _))));
        Assert.Equal(0, BytesOf(() => Assert.True(key.Acquire(1, TimeSpan.FromSeconds(1)).IsGranted)));
        Assert.Equal(0, BytesOf(() => Assert.True(key.AcquireAsync(1).Result.IsGranted)));
        Assert.Equal(0, BytesOf(() => Assert.True(key.Peek().IsGranted)));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.GetKey("tenant-2").Status().Granted == 0)));
    }

    [Fact]
    public void Neither_tiers_nor_values_nor_batches_nor_contexts_allocate()
    {
        TidegateLimiter limiter = _runtime.CreateLimiter(
            "tiers", new TidegateTier("all", Setup.Still(1_000_000)), new TidegateTier("topic", Setup.Still(1_000_000), "topic"));
        TidegateKey key = limiter.GetKey([("topic", "orders")]);
        TidegateKey[] keys = [key, key];
        TidegateDecision[] decisions = new TidegateDecision[2];
        Assert.Equal(0, BytesOf(() => Assert.True(key.TryAcquire())));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire("orders"))));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire("orders".AsSpan(), 1, out _))));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire("orders"u8, 1, out _))));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire([("topic", "orders")], 1, out _))));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire([("topic", "orders"), ("other", "x")], 1, out _))));
        Assert.Equal(0, BytesOf(() => TidegateKey.TryAcquire(keys, decisions)));
    }

    [Fact]
    public void A_value_that_comes_once_allocates_nothing_and_one_that_comes_again_does_so_once()
    {
        TidegateLimiter limiter = _runtime.CreateLimiter("values", Setup.Still(burst: 9));
        string[] texts = [.. Enumerable.Range(0, 10_000).Select(i => $"tenant-{i}")];
        int at = 0;
        // The marks themselves.
        Assert.True(limiter.TryAcquire("another"));
        long before = GC.GetAllocatedBytesForCurrentThread();
        while (at < texts.Length)
        {
            limiter.TryAcquire(texts[at++]);
        }
        // One in 32,768 is taken for one that came before.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
        Assert.Equal(0, BytesOf(() => limiter.TryAcquire(texts[at++ % 100], 1, out _)));
        Assert.Equal(0, BytesOf(() => limiter.TryAcquire(texts[at++ % 100], 1, out _)));
    }

    [Fact]
    public void A_refused_call_allocates_nothing()
    {
        TidegateKey key = _runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("tenant-1");
        Assert.True(key.TryAcquire());
        Assert.Equal(0, BytesOf(() => Assert.False(key.TryAcquire())));
        Assert.Equal(0, BytesOf(() => Assert.False(key.TryAcquire(1, out _))));
    }

    [Fact]
    public void Neither_windows_nor_other_enforcements_nor_shadows_nor_lags_allocate()
    {
        TidegateLimit burst = Setup.Still(1_000_000);
        TidegateLimiter limiter = _runtime.CreateLimiter(
            "kinds",
            new TidegateTier("window", TidegateLimit.SlidingWindow(1_000_000, TimeSpan.FromDays(1))),
            new TidegateTier("breaker", burst.Enforced(TidegateEnforcement.CircuitBreaker(1, TimeSpan.FromDays(1)))),
            new TidegateTier("shadow", Setup.Still(1).InShadow()));
        TidegateKey key = limiter.GetKey("");
        limiter.PauseOnLag(1, 1);
        Assert.Equal(0, BytesOf(() => Assert.True(key.TryAcquire(1, out _))));
        Assert.Equal(0, BytesOf(() => limiter.ObserveLag(1)));
        Assert.Equal(0, BytesOf(() => Assert.Null(_runtime.NextEvent(TimeSpan.Zero))));
    }

    [Fact]
    public void A_context_that_is_too_long_for_the_stack_allocates_nothing_that_is_collected()
    {
        string value = new('v', 1_000);
        TidegateLimiter limiter = _runtime.CreateLimiter("long", new TidegateTier("a", Setup.Still(1_000_000), "a"));
        Assert.Equal(0, BytesOf(() => Assert.True(limiter.TryAcquire([("a", value)], 1, out _))));
        Assert.True(limiter.GetKey(value).TryAcquire(1, out TidegateDecision decision));
        Assert.Equal(1_000_000 - Calls - 1_000 - 1, decision.Remaining);
    }

    [Fact]
    public void What_allocates_is_found_by_this_measurement()
    {
        object? kept = null;
        Assert.InRange(BytesOf(() => kept = new object()), Calls, long.MaxValue);
        GC.KeepAlive(kept);
    }
}
