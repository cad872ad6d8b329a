namespace Tidegate.Tests;

/// <summary>Several tiers, contexts, values without a key, batches, reservations, and time that a test moves.</summary>
public sealed class TierTests : StoppedTests
{
    private TidegateLimiter Tiers() => Runtime.CreateLimiter(
        "tiers",
        new TidegateTier("cluster", Setup.PerSecond(10, 10)),
        new TidegateTier("topic", Setup.PerSecond(4, 4), "topic"),
        new TidegateTier("consumer", Setup.PerSecond(4, 4), "consumer", Weight: 2));

    [Fact]
    public void The_tier_that_refuses_is_named_and_the_others_lose_nothing()
    {
        TidegateLimiter limiter = Tiers();
        TidegateKey key = limiter.GetKey([("topic", "orders"), ("consumer", "a")]);
        Assert.True(key.TryAcquire(2));
        for (int i = 0; i < 20; i++)
        {
            Assert.False(key.TryAcquire(1, out TidegateDecision refusal));
            Assert.Equal("consumer", limiter.TierName(refusal.Tier));
        }
        Assert.True(limiter.GetKey([("consumer", "b"), ("topic", "orders")]).TryAcquire(2));
        Assert.Equal(3, limiter.TierCount);
        Assert.Equal("", limiter.TierName(3));
        Clock.Advance(TimeSpan.FromMilliseconds(500));
        Assert.True(key.TryAcquire());
    }

    [Fact]
    public void A_dimension_that_is_missing_is_an_error_that_names_it()
    {
        TidegateLimiter limiter = Tiers();
        TidegateException missing =
            Assert.Throws<TidegateException>(() => limiter.GetKey([("tpoic", "orders"), ("consumer", "a")]));
        Assert.Equal(TidegateStatus.Argument, missing.Status);
        Assert.Contains("`topic`", missing.Message, StringComparison.Ordinal);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.TryAcquire([("topic", "x")], 1, out _)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.GetKey("orders")));
    }

    [Fact]
    public void Every_failure_without_a_key_says_what_is_wrong_as_with_one()
    {
        TidegateLimiter limiter = Tiers();
        string Words(Action act) => Assert.Throws<TidegateException>(act).Message;
        Assert.Contains("`consumer`", Words(() => limiter.TryAcquire([("topic", "x")], 1, out _)), StringComparison.Ordinal);
        Assert.Contains("1024", Words(() => limiter.TryAcquire(new string('x', 2_000))), StringComparison.Ordinal);
        Assert.Equal(0, Runtime.Metrics().Keys);
        Assert.StartsWith(
            "permits", Words(() => limiter.TryAcquire([("topic", "x"), ("consumer", "y")], 0, out _)), StringComparison.Ordinal);
        TidegateKey key = Runtime.CreateLimiter("line", Setup.PerSecond(1, 1)).GetKey("");
        Assert.True(key.TryAcquire());
        Assert.Contains("pending", Words(() => key.Reserve(1, TimeSpan.FromSeconds(5)).Settle(1)), StringComparison.Ordinal);
    }

    [Fact]
    public void No_room_for_a_value_names_the_maximum()
    {
        TidegateOptions options = new() { ["keys.max"] = "1" };
        using TidegateRuntime full = TidegateRuntime.Open(options, Clock);
        TidegateLimiter limiter = full.CreateLimiter("values", Setup.PerSecond(1, 2));
        Assert.True(limiter.TryAcquire("a"));
        TidegateException failure = Assert.Throws<TidegateException>(() => limiter.TryAcquire("b"));
        Assert.Equal(TidegateStatus.Capacity, failure.Status);
        Assert.Contains("keys.max", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_value_at_all_is_not_the_empty_one()
    {
        TidegateLimiter limiter = Runtime.CreateLimiter("values", Setup.PerSecond(1, 1));
        Assert.Throws<ArgumentNullException>(() => limiter.TryAcquire((string)null!));
        Assert.Throws<ArgumentNullException>(() => limiter.TryAcquire((string)null!, 1, out _));
        Assert.True(limiter.TryAcquire(""));
    }

    [Fact]
    public void Tiers_out_of_range_are_refused()
    {
        TidegateTier tier = new("x", Setup.PerSecond(1, 1));
        Assert.Throws<ArgumentException>(() => Runtime.CreateLimiter("none", Array.Empty<TidegateTier>()));
        Assert.Throws<ArgumentException>(() => Runtime.CreateLimiter("many", [.. Enumerable.Repeat(tier, 9)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Runtime.CreateLimiter("light", tier with { Weight = 0 }));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => Runtime.CreateLimiter("twins", tier, tier)));
    }

    [Fact]
    public void A_value_without_a_key_is_the_bucket_of_its_key()
    {
        TidegateLimiter limiter = Runtime.CreateLimiter("values", Setup.PerSecond(10, 3));
        TidegateKey key = limiter.GetKey("ü");
        Assert.True(limiter.TryAcquire("ü"));
        Assert.True(key.TryAcquire());
        Assert.True(limiter.TryAcquire("ü"u8, 1, out TidegateDecision last));
        Assert.Equal(0, last.Remaining);
        Assert.False(limiter.TryAcquire("ü", 1, out TidegateDecision refusal));
        Assert.Equal(TimeSpan.FromMilliseconds(100), refusal.RetryAfter);
        Assert.True(limiter.TryAcquire("other"));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.TryAcquire(new string('x', 2_000))));
    }

    [Fact]
    public void A_batch_decides_each_key_by_itself()
    {
        TidegateLimiter limiter = Runtime.CreateLimiter("batch", Setup.PerSecond(1, 1));
        TidegateKey[] keys = [limiter.GetKey("a"), limiter.GetKey("b"), default];
        TidegateDecision[] decisions = new TidegateDecision[3];
        keys[0].TryAcquire();
        TidegateKey.TryAcquire(keys, decisions);
        Assert.Equal(
            [TidegateStatus.Denied, TidegateStatus.Ok, TidegateStatus.Stale], decisions.Select(made => made.Status));
        Assert.Throws<ArgumentException>(() => TidegateKey.TryAcquire(keys, new TidegateDecision[2]));
    }

    [Fact]
    public void A_reservation_is_granted_once_and_gives_back_what_was_not_used()
    {
        TidegateKey key = Runtime.CreateLimiter("reserve", Setup.PerSecond(10, 10)).GetKey("a");
        TidegateReservation held = key.Reserve(8, TimeSpan.Zero);
        Assert.True(held.Decision.IsGranted);
        TidegateReservation line = key.Reserve(4, TimeSpan.FromSeconds(1));
        Assert.Equal(TidegateStatus.Pending, line.Decision.Status);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => line.Settle(4)));
        held.Settle(6);
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => held.Settle(6)));
        Assert.True(line.Poll().IsGranted);
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => line.Poll()));
        line.Cancel();
        Assert.True(key.TryAcquire(4));
        Assert.Equal(0UL, key.Reserve(1, TimeSpan.Zero).Ticket);
    }

    [Fact]
    public void A_tier_gets_other_numbers()
    {
        TidegateLimiter limiter = Tiers();
        limiter.SetLimit(2, Setup.PerSecond(20, 20), TimeSpan.Zero);
        Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.True(limiter.TryAcquire([("topic", "orders"), ("consumer", "a")], 4, out _));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.SetLimit(3, Setup.PerSecond(1, 1), TimeSpan.Zero)));
    }

    [Fact]
    public void AClock_stands_still_and_needs_a_localRuntime()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Clock.Advance(TimeSpan.FromTicks(-1)));
        if (TidegateLibrary.Features.HasFlag(TidegateFeatures.Kafka))
        {
            Dictionary<string, string> shared = new() { ["bootstrap.servers"] = "localhost:1" };
            Assert.Equal(TidegateStatus.Config, Setup.Fails(() => TidegateRuntime.Open(shared, Clock)));
        }
    }
}
