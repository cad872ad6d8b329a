using System.Globalization;

namespace Tidegate.Tests;

/// <summary>What a limit is as a value, and what a sliding window and the shadow mode promise.</summary>
public sealed class LimitTests : StoppedTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public void Limits_of_equal_numbers_are_equal_and_each_difference_counts()
    {
        TidegateLimit Made() => TidegateLimit.SlidingWindow(10, Minute, 2, TidegateOutage.Deny)
            .Enforced(TidegateEnforcement.CircuitBreaker(3, Minute)).InShadow();
        Assert.Equal(Made(), Made());
        Assert.Equal(Made().GetHashCode(), Made().GetHashCode());
        TidegateLimit plain = TidegateLimit.SlidingWindow(10, Minute, 2, TidegateOutage.Deny);
        TidegateLimit[] others =
        [
            plain, plain.InShadow(), plain.Enforced(TidegateEnforcement.CircuitBreaker(3, Minute)),
            Made().Enforced(TidegateEnforcement.CircuitBreaker(4, Minute)),
            Made().Enforced(TidegateEnforcement.CircuitBreaker(3, Minute * 2)),
            Made().Enforced(TidegateEnforcement.Throttling(Minute)), Made().Enforced(TidegateEnforcement.Backpressure),
            TidegateLimit.TokenBucket(10, Minute, 2, TidegateOutage.Deny)
                .Enforced(TidegateEnforcement.CircuitBreaker(3, Minute)).InShadow(),
        ];
        Assert.DoesNotContain(Made(), others);
        Assert.Equal(others.Length, others.Distinct().Count());
    }

    [Fact]
    public void What_is_not_said_is_a_hard_limit_that_is_kept()
    {
        TidegateLimit limit = TidegateLimit.TokenBucket(1, Minute);
        Assert.Equal((TidegateMode.Enforce, TidegateEnforcement.HardLimit), (limit.Mode, limit.Enforcement));
        Assert.Equal(limit, limit.Enforced(default));
        Assert.Equal(
            "Throttling 00:01:00", Words(limit.Enforced(TidegateEnforcement.Throttling(Minute)).Enforcement));

        static string Words(TidegateEnforcement one) => string.Create(CultureInfo.InvariantCulture, $"{one.Kind} {one.MaxWait}");
    }

    [Fact]
    public void A_permit_comes_back_a_period_after_it_was_taken_and_not_a_moment_earlier()
    {
        TidegateKey key = Limiter(TidegateLimit.SlidingWindow(10, Minute)).GetKey("");
        Assert.True(key.TryAcquire(4));
        Advance(20);
        Assert.Equal(6, Drain(key));
        Assert.False(key.TryAcquire(1, out TidegateDecision refusal));
        Assert.Equal(TimeSpan.FromSeconds(40), refusal.RetryAfter);
        Clock.Advance(TimeSpan.FromSeconds(40) - TimeSpan.FromTicks(1));
        Assert.False(key.TryAcquire());
        Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(4, Drain(key));
    }

    [Theory]
    [InlineData(TidegateLimitKind.SlidingWindow, 60)]
    [InlineData(TidegateLimitKind.TokenBucket, 119)]
    public void A_bucket_lets_its_burst_and_a_refill_through_in_one_period_and_a_window_does_not(
        TidegateLimitKind kind, int most)
    {
        TidegateKey key = Limiter(kind == TidegateLimitKind.TokenBucket
            ? TidegateLimit.TokenBucket(60, Minute) : TidegateLimit.SlidingWindow(60, Minute)).GetKey("");
        int taken = Drain(key);
        Advance(59);
        Assert.Equal(most, taken + Drain(key));
    }

    [Fact]
    public void In_shadow_mode_everything_passes_and_what_would_not_have_is_counted()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 2).InShadow()).GetKey("");
        TidegateBasis Basis(long permits)
        {
            Assert.True(key.TryAcquire(permits, out TidegateDecision decision));
            return decision.Basis;
        }
        Assert.Equal(
            [TidegateBasis.Local, TidegateBasis.Local, TidegateBasis.Shadow, TidegateBasis.Shadow],
            new long[] { 1, 1, 1, 7 }.Select(Basis));
        TidegateMetrics metrics = Runtime.Metrics();
        Assert.Equal((2, 8, 8), (metrics.PermitsGranted, metrics.PermitsRefused, metrics.PermitsShadowed));
    }

    [Fact]
    public void A_limit_that_is_kept_has_no_shadow()
    {
        TidegateKey key = Limiter(Setup.PerSecond(10, burst: 2)).GetKey("");
        Assert.Equal(2, Drain(key));
        Assert.False(key.TryAcquire(1, out TidegateDecision refusal));
        Assert.Equal((TidegateBasis.Local, 0), (refusal.Basis, Runtime.Metrics().PermitsShadowed));
    }

    [Fact]
    public void Other_numbers_leave_the_enforcement_alone_and_nothing_else_can_be_changed()
    {
        TidegateLimit limit = Setup.PerSecond(1, burst: 5).Enforced(TidegateEnforcement.Backpressure).InShadow();
        TidegateLimiter limiter = Limiter(limit);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.SetLimit(limit, TimeSpan.Zero)));
        Assert.Equal(limit, limiter.Limit);
        limiter.SetLimit(Setup.PerSecond(2, burst: 4), TimeSpan.Zero);
        Assert.Equal(
            Setup.PerSecond(2, burst: 4).Enforced(TidegateEnforcement.Backpressure).InShadow(), limiter.Limit);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() =>
            limiter.SetLimit(TidegateLimit.SlidingWindow(2, Minute), TimeSpan.Zero)));
    }
}
