namespace Tidegate.Tests;

/// <summary>What limits do where they are reached, beyond a plain no.</summary>
public sealed class EnforcementTests : StoppedTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private static TidegateLimit Breaker(int threshold) => Setup.PerSecond(1, burst: 2)
        .Enforced(TidegateEnforcement.CircuitBreaker(threshold, TimeSpan.FromSeconds(5)));

    private static TidegateBasis Refused(TidegateKey key)
    {
        Assert.False(key.TryAcquire(1, out TidegateDecision refusal));
        return refusal.Basis;
    }

    [Fact]
    public void A_breaker_opens_after_refusals_in_a_row_and_then_refuses_unasked()
    {
        TidegateKey key = Limiter(Breaker(2)).GetKey("tenant");
        Assert.Equal(2, Drain(key));
        Assert.Equal(TidegateBasis.Local, Refused(key));
        Advance(1);
        Assert.False(key.TryAcquire(1, out TidegateDecision refusal), "although a permit is there");
        Assert.Equal(
            (TidegateStatus.Denied, TidegateBasis.Breaker, TimeSpan.FromSeconds(4)),
            (refusal.Status, refusal.Basis, refusal.RetryAfter));
        Assert.Equal([TidegateEventKind.BreakerOpened], Events());
        Advance(4);
        Assert.True(key.TryAcquire());
        Assert.Equal([TidegateEventKind.BreakerHalfOpen, TidegateEventKind.BreakerClosed], Events());
    }

    [Fact]
    public void A_grant_in_between_keeps_a_breaker_closed()
    {
        TidegateKey key = Limiter(Breaker(2)).GetKey("");
        Assert.True(key.TryAcquire(2));
        for (int i = 0; i < 5; i++)
        {
            Advance(1);
            Assert.Equal(1, Drain(key));
        }
        Assert.Empty(Events());
        Assert.Equal([TidegateBasis.Local, TidegateBasis.Breaker], new[] { Refused(key), Refused(key) });
    }

    [Fact]
    public void A_hard_limit_refuses_on_and_tells_nothing()
    {
        TidegateKey key = Limiter(Setup.PerSecond(1, burst: 2).Enforced(TidegateEnforcement.HardLimit)).GetKey("");
        Assert.Equal(2, Drain(key));
        Assert.Equal([TidegateBasis.Local, TidegateBasis.Local], new[] { Refused(key), Refused(key) });
        Assert.Empty(Events());
    }

    [Fact]
    public void Pressure_is_told_on_both_edges_once()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 10).Enforced(TidegateEnforcement.Backpressure)).GetKey("orders");
        Assert.Equal((10, 0), (Drain(key), Drain(key)));
        Assert.Equal(
            new TidegateEvent(TidegateEventKind.PressureOn, "test", 0, "orders", 0), Runtime.NextEvent(TimeSpan.Zero));
        Advance(0.4);
        Assert.True(key.TryAcquire());
        Assert.Empty(Events());
        Advance(0.3);
        Assert.True(key.TryAcquire());
        Assert.Equal([TidegateEventKind.PressureOff], Events());
    }

    [Fact]
    public void Throttling_refuses_at_once_what_takes_longer_and_delays_the_rest()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 2)
            .Enforced(TidegateEnforcement.Throttling(TimeSpan.FromMilliseconds(150)))).GetKey("");
        Assert.Equal(2, Drain(key));
        TidegateDecision refusal = key.Acquire(2, Long);
        Assert.Equal((TidegateStatus.Denied, TimeSpan.FromMilliseconds(200)), (refusal.Status, refusal.RetryAfter));
        Assert.Equal(TidegateStatus.Denied, key.Reserve(2, Long).Decision.Status);
        Assert.Equal(TidegateStatus.Pending, key.Reserve(1, Long).Decision.Status);
    }

    [Fact]
    public void Throttling_without_a_longest_wait_delays_everything()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 2)
            .Enforced(TidegateEnforcement.Throttling(Timeout.InfiniteTimeSpan))).GetKey("");
        Assert.Equal(2, Drain(key));
        Assert.Equal(TidegateStatus.Pending, key.Reserve(2, Long).Decision.Status);
    }

    [Fact]
    public async Task An_open_breaker_refuses_who_would_wait_at_once()
    {
        TidegateKey key = Limiter(Breaker(1)).GetKey("");
        Assert.Equal(2, Drain(key));
        TidegateDecision blocking = key.Acquire(1, Long);
        Assert.Equal((TidegateStatus.Denied, TidegateBasis.Breaker), (blocking.Status, blocking.Basis));
        TidegateReservation none = key.Reserve(1, Long);
        Assert.Equal((TidegateBasis.Breaker, 0UL), (none.Decision.Basis, none.Ticket));
        TidegateDecision waited = await key.AcquireAsync(1, Long);
        Assert.Equal((TidegateStatus.Denied, TidegateBasis.Breaker), (waited.Status, waited.Basis));
    }

    [Fact]
    public async Task A_closed_breaker_lets_who_waits_wait()
    {
        TidegateKey key = Limiter(Setup.PerSecond(100, burst: 2)
            .Enforced(TidegateEnforcement.CircuitBreaker(int.MaxValue, Long))).GetKey("");
        Assert.Equal(2, Drain(key));
        ValueTask<TidegateDecision> wait = key.AcquireAsync(1, Long);
        Assert.False(wait.IsCompleted);
        Advance(0.01);
        Assert.True((await wait).IsGranted);
    }

    [Fact]
    public async Task A_breaker_counts_a_wait_as_one_request_and_not_as_many()
    {
        TidegateKey key = Limiter(Breaker(3)).GetKey("");
        Assert.True(key.TryAcquire(2));
        Task<TidegateDecision>[] waits = [key.AcquireAsync(1, Long).AsTask(), key.AcquireAsync(1, Long).AsTask()];
        // Looked at many times meanwhile.
        await Task.Delay(1_200);
        Assert.Empty(Events());
        waits = [.. waits, key.AcquireAsync(1, Long).AsTask()];
        Assert.Equal([TidegateEventKind.BreakerOpened], Events());
        Assert.Equal(TidegateBasis.Breaker, (await key.AcquireAsync(1, Long)).Basis);
        Advance(1);
        Assert.True((await waits[0].WaitAsync(Long)).IsGranted);
        Assert.All(waits[1..], wait => Assert.False(wait.IsCompleted));
    }

    [Fact]
    public async Task The_longest_delay_of_throttling_binds_who_waits_without_a_thread()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 2)
            .Enforced(TidegateEnforcement.Throttling(TimeSpan.FromMilliseconds(150)))).GetKey("");
        Assert.Equal(2, Drain(key));
        ValueTask<TidegateDecision> refused = key.AcquireAsync(2, Long);
        Assert.True(refused.IsCompleted);
        TidegateDecision refusal = await refused;
        Assert.Equal((TidegateStatus.Denied, TimeSpan.FromMilliseconds(200)), (refusal.Status, refusal.RetryAfter));
        ValueTask<TidegateDecision> delayed = key.AcquireAsync(1, Long);
        Assert.False(delayed.IsCompleted);
        Advance(0.1);
        Assert.True((await delayed).IsGranted);
        Task<TidegateDecision> paused = key.AcquireAsync(1, Long).AsTask();
        Runtime.CreateLimiter("test", Setup.PerSecond(10, burst: 2)
            .Enforced(TidegateEnforcement.Throttling(TimeSpan.FromMilliseconds(150)))).PauseOnLag(0, 0);
        Limiter(Setup.PerSecond(10, burst: 2)
            .Enforced(TidegateEnforcement.Throttling(TimeSpan.FromMilliseconds(150)))).ObserveLag(1);
        Advance(0.2);
        Assert.Equal(TidegateStatus.TimedOut, (await paused.WaitAsync(Long)).Status);
    }

    [Fact]
    public void Numbers_out_of_range_are_refused_here_or_by_the_library()
    {
        TimeSpan second = TimeSpan.FromSeconds(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateEnforcement.CircuitBreaker(-1, second));
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateEnforcement.CircuitBreaker(1, -second));
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateEnforcement.Throttling(-second));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => Limiter(Breaker(0))));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => Limiter(
            Setup.PerSecond(1, 1).Enforced(TidegateEnforcement.CircuitBreaker(1, TimeSpan.Zero)))));
    }

    [Fact]
    public void One_name_with_two_enforcements_is_refused_and_with_the_same_it_is_shared()
    {
        Assert.True(Limiter(Breaker(1)).GetKey("").TryAcquire(2));
        Assert.False(Limiter(Breaker(1)).GetKey("").TryAcquire());
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => Limiter(Breaker(2))));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => Limiter(Breaker(1).InShadow())));
    }
}
