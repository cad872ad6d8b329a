namespace Tidegate.Tests;

/// <summary>Limits that follow a lag or the outcomes of calls.</summary>
public sealed class PacingTests : StoppedTests
{
    [Fact]
    public void Nothing_refills_while_the_lag_is_too_great_and_the_time_is_not_made_up_for()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(10, burst: 100));
        TidegateKey key = limiter.GetKey("");
        limiter.PauseOnLag(above: 1_000, below: 100);
        Drain(key);
        Advance(1);
        limiter.ObserveLag(1_001);
        Assert.Equal(10, Drain(key));
        Advance(60);
        Assert.Equal((0, 0.0), (Drain(key), key.Status().Pace));
        limiter.ObserveLag(101);
        Advance(60);
        Assert.Equal(0, Drain(key));
        limiter.ObserveLag(100);
        Advance(1);
        Assert.Equal((10, 1.0), (Drain(key), key.Status().Pace));
        Assert.Equal([TidegateEventKind.Paused, TidegateEventKind.Resumed], Events());
    }

    [Fact]
    public void A_lag_at_the_threshold_pauses_nothing()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(10, burst: 100));
        TidegateKey key = limiter.GetKey("");
        limiter.PauseOnLag(above: 1_000, below: 100);
        limiter.ObserveLag(1_000);
        Drain(key);
        Advance(1);
        Assert.Equal(10, Drain(key));
        Assert.Empty(Events());
    }

    [Theory]
    [InlineData(0, 100, 1)]
    [InlineData(50, 55, 0.55)]
    [InlineData(100, 10, 0.1)]
    [InlineData(10_000, 10, 0.1)]
    public void The_rate_falls_with_the_lag_to_its_floor(long lag, int inASecond, double pace)
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(100, burst: 1_000));
        TidegateKey key = limiter.GetKey("");
        limiter.SlowOnLag(0, 100, 0.1);
        limiter.ObserveLag(lag);
        Drain(key);
        Advance(10);
        Assert.Equal((10 * inASecond, pace), (Drain(key), key.Status().Pace));
    }

    [Fact]
    public void A_rate_adapts_to_the_outcomes_of_calls_and_never_beyond_what_is_configured()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(100, burst: 1_000));
        TidegateKey key = limiter.GetKey("");
        limiter.Adapt(floor: 0.1, step: 0.05, cut: 0.5, TimeSpan.FromSeconds(1));
        limiter.ObserveOutcome(overloaded: true);
        Drain(key);
        Advance(1);
        Assert.Equal((50, 0.5), (Drain(key), key.Status().Pace));
        for (int i = 0; i < 100; i++)
        {
            limiter.ObserveOutcome(overloaded: false);
            Advance(1);
        }
        Assert.Equal(1, key.Status().Pace);
    }

    [Fact]
    public void Unless_it_says_otherwise_a_rate_that_adapts_loses_three_tenths_once_a_second_down_to_a_tenth()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(100, burst: 1_000));
        TidegateKey key = limiter.GetKey("");
        limiter.Adapt();
        limiter.ObserveOutcome(overloaded: true);
        limiter.ObserveOutcome(overloaded: true);
        Assert.Equal(0.7, key.Status().Pace);
        for (int i = 0; i < 20; i++)
        {
            Advance(1);
            limiter.ObserveOutcome(overloaded: true);
        }
        Assert.Equal(0.1, key.Status().Pace);
        Advance(1);
        limiter.ObserveOutcome(overloaded: false);
        Assert.Equal(0.15, key.Status().Pace);
    }

    [Fact]
    public void Off_by_default_outcomes_change_nothing()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(100, burst: 1_000));
        limiter.ObserveOutcome(overloaded: true);
        Assert.Equal(1, limiter.GetKey("").Status().Pace);
    }

    [Fact]
    public void What_is_no_lag_or_no_part_is_refused_here_or_by_the_library()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.PauseOnLag(-1, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.ObserveLag(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.SlowOnLag(0, 1, 1.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.SlowOnLag(0, 1, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.Adapt(floor: -0.1));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.PauseOnLag(1, 2)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.SlowOnLag(5, 5, 0)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.Adapt(step: 0)));
        limiter.PauseOnLag(1, 1);
        limiter.SlowOnLag(0, 1, 0);
        limiter.Adapt(1, 1, 1);
    }

    [Fact]
    public void Without_kafka_there_is_no_lag_to_watch_and_the_error_says_what_to_do()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(1, 1));
        TidegateException failure = Assert.Throws<TidegateException>(() => limiter.WatchLag("group", []));
        Assert.Equal(TidegateStatus.Config, failure.Status);
        Assert.Contains("bootstrap.servers", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_topic_that_the_library_would_take_for_all_or_for_two_is_refused_before()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(1, 1));
        foreach (string? topic in new[] { "", " ", null, "a,b" })
        {
            Assert.Throws<ArgumentException>(() => limiter.WatchLag("group", ["orders", topic!]));
        }
        Assert.Equal(TidegateStatus.Config, Setup.Fails(() => limiter.WatchLag("group", ["orders", "bills"])));
    }

    [KafkaFact]
    public void With_kafka_a_lag_is_watched_and_in_milliseconds_only_what_has_numbers_to_exceed()
    {
        using TidegateRuntime shared = TidegateRuntime.Open(new TidegateOptions { BootstrapServers = "127.0.0.1:9" });
        TidegateLimiter limiter = shared.CreateLimiter("orders", Setup.PerSecond(1, 1));
        limiter.WatchLag("group", ["orders"]);
        Assert.Equal(TidegateStatus.Capacity, Setup.Fails(() => limiter.WatchLag("another", [])));
        TidegateLimiter old = shared.CreateLimiter("payments", Setup.PerSecond(1, 1));
        void InMilliseconds() => old.WatchLag("group", [], TidegateLagUnit.Milliseconds, TimeSpan.FromSeconds(2));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(InMilliseconds));
        old.PauseOnLag(60_000, 10_000);
        InMilliseconds();
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.WatchLag("group", [], every: TimeSpan.FromSeconds(-1)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.WatchLag("group", [], (TidegateLagUnit)7)));
    }

    [Fact]
    public void A_limiter_that_was_disposed_follows_nothing()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(1, 1));
        limiter.Dispose();
        Action[] uses =
        [
            () => limiter.PauseOnLag(1, 1), () => limiter.SlowOnLag(0, 1, 0), () => limiter.ObserveLag(1),
            () => limiter.WatchLag("group", []), () => limiter.Adapt(), () => limiter.ObserveOutcome(true),
        ];
        Assert.All(uses, use => Assert.Throws<ObjectDisposedException>(use));
    }
}
