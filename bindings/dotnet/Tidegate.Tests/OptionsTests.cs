namespace Tidegate.Tests;

public sealed class OptionsTests
{
    [Fact]
    public void Typed_properties_are_spellings_of_the_named_ones()
    {
        TidegateOptions options = new()
        {
            BootstrapServers = "kafka:9092",
            Topic = "limits",
            TimeToLive = TimeSpan.FromMilliseconds(1500.2),
            OnOutage = TidegateOutage.KeepShare,
            ["security.protocol"] = "ssl",
        };
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["bootstrap.servers"] = "kafka:9092",
                ["topic"] = "limits",
                ["ttl.ms"] = "1501",
                ["on.outage"] = "keep_share",
                ["security.protocol"] = "ssl",
            },
            options.ToDictionary(p => p.Key, p => p.Value));
        Assert.Equal(TimeSpan.FromMilliseconds(1501), options.TimeToLive);
        (options.BootstrapServers, options.Topic, options.TimeToLive) = (null, null, null);
        (options.OnOutage, options["security.protocol"]) = (TidegateOutage.Default, null);
        Assert.Empty(options);
    }

    [Theory]
    [InlineData(TidegateOutage.KeepShare)]
    [InlineData(TidegateOutage.Deny)]
    [InlineData(TidegateOutage.Allow)]
    public void Every_outage_policy_is_one_that_the_library_knows(TidegateOutage policy)
    {
        TidegateOptions options = new() { Storage = "memory", OnOutage = policy };
        Assert.Equal(policy, options.OnOutage);
        Assert.Contains($"on.outage = {options["on.outage"]}\n", options.Describe(), StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => options.OnOutage = (TidegateOutage)99);
    }

    [Fact]
    public void A_description_has_the_defaults_and_hides_secrets_whatever_their_length()
    {
        string secret = new('s', 5_000);
        string text = new TidegateOptions { { "bootstrap.servers", "a:1" }, { "sasl.password", secret } }.Describe();
        Assert.Contains("ttl.ms = 15000\n", text, StringComparison.Ordinal);
        Assert.Contains("sasl.password = (hidden)", text, StringComparison.Ordinal);
        Assert.DoesNotContain("sss", text, StringComparison.Ordinal);
        Assert.Equal(TidegateStatus.Config, Setup.Fails(() => new TidegateOptions { { "nonsense", "1" } }.Describe()));
    }
}
