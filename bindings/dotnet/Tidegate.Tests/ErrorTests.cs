namespace Tidegate.Tests;

public sealed class ErrorTests
{
    private static TidegateException Refused(params (string Name, string Value)[] properties) =>
        Assert.Throws<TidegateException>(() => TidegateRuntime.Open(properties.ToDictionary(p => p.Name, p => p.Value)));

    [Fact]
    public void An_unknown_property_is_named()
    {
        TidegateException failure = Refused(("no-such-property", "1"));
        Assert.Equal(TidegateStatus.Config, failure.Status);
        Assert.Contains("no-such-property", failure.Message, StringComparison.Ordinal);
        Assert.False(failure.IsRetriable);
    }

    [Fact]
    public void A_value_that_a_property_does_not_have_is_named_with_what_was_expected()
    {
        TidegateException failure = Refused(("storage", "memory"), ("ttl.ms", "soon"));
        Assert.Equal("`ttl.ms` is `soon`; expected milliseconds from 500 to 600000", failure.Message);
    }

    [Fact]
    public void Properties_that_contradict_each_other_are_named()
    {
        TidegateException failure = Refused(("storage", "kafka"));
        Assert.Equal(TidegateStatus.Config, failure.Status);
        Assert.Contains("bootstrap.servers", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_property_without_a_value_is_named_before_anything_is_opened()
    {
        Dictionary<string, string> properties = new() { ["client.note"] = null! };
        ArgumentNullException failure = Assert.Throws<ArgumentNullException>(() => TidegateRuntime.Open(properties));
        Assert.Equal("client.note", failure.ParamName);
    }

    [Fact]
    public void Good_properties_open_a_runtime()
    {
        using TidegateRuntime runtime = TidegateRuntime.Open(new Dictionary<string, string> { ["storage"] = "memory" });
        Assert.Equal(TidegateHealthState.Ok, runtime.Health.State);
        Assert.NotEmpty(runtime.Health.Message);
    }

    [Fact]
    public void A_limit_that_the_library_refuses_is_a_failure_with_its_words()
    {
        using TidegateRuntime runtime = Setup.Open();
        TidegateException failure = Assert.Throws<TidegateException>(
            () => runtime.CreateLimiter("orders", TidegateLimit.TokenBucket(0, TimeSpan.FromSeconds(1))));
        Assert.Equal(TidegateStatus.Argument, failure.Status);
        Assert.StartsWith("permits is 0", failure.Message, StringComparison.Ordinal);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => runtime.CreateLimiter("", Setup.Still(1))));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => runtime.CreateLimiter("orders", default(TidegateLimit))));
        runtime.CreateLimiter("orders", Setup.Still(burst: 1));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => runtime.CreateLimiter("orders", Setup.Still(burst: 2))));
    }

    [Fact]
    public void Numbers_that_the_library_cannot_be_told_are_refused_here()
    {
        TimeSpan second = TimeSpan.FromSeconds(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateLimit.TokenBucket(-1, second));
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateLimit.TokenBucket(1, -second));
        Assert.Throws<ArgumentOutOfRangeException>(() => TidegateLimit.TokenBucket(1, second, -1));
    }

    [Fact]
    public void A_maximum_that_is_reached_is_named_and_room_is_made_by_releasing()
    {
        TidegateOptions options = Setup.Options();
        options["keys.max"] = "1";
        using TidegateRuntime runtime = TidegateRuntime.Open(options);
        TidegateLimiter limiter = runtime.CreateLimiter("orders", Setup.Still(burst: 1));
        TidegateKey key = limiter.GetKey("a");
        TidegateException failure = Assert.Throws<TidegateException>(() => limiter.GetKey("b"));
        Assert.Equal(TidegateStatus.Capacity, failure.Status);
        Assert.Contains("keys.max", failure.Message, StringComparison.Ordinal);
        key.Release();
        limiter.GetKey("b");
    }

    [KafkaFact]
    public async Task Without_a_broker_a_runtime_opens_says_why_it_cannot_share_and_closes()
    {
        await using TidegateRuntime runtime = TidegateRuntime.Open(new TidegateOptions { BootstrapServers = "127.0.0.1:9" });
        Assert.Equal(TidegateHealthState.Connecting, runtime.Health.State);
        Assert.Equal(TidegateStorage.Kafka, runtime.StorageInfo.Backend);
        Setup.Until(() => runtime.StorageInfo is { IsShared: true, IsPersistent: true }, "the storage said what it is");
        TidegateKey key = runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("");
        Assert.False(key.TryAcquire(1, out TidegateDecision decision));
        Assert.Equal(TidegateBasis.NoShare, decision.Basis);
        await runtime.CloseAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
    }

    [KafkaFact]
    public void A_property_that_the_kafka_client_does_not_have_is_named()
    {
        TidegateException failure = Refused(("bootstrap.servers", "127.0.0.1:9"), ("no.such.property", "1"));
        Assert.Equal(TidegateStatus.Config, failure.Status);
        Assert.Contains("no.such.property", failure.Message, StringComparison.Ordinal);
    }
}
