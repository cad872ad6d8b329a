namespace Tidegate.Tests;

/// <summary>What an HTTP server tells its clients.</summary>
public sealed class HeaderFieldTests : StoppedTests
{
    private static readonly TidegateLimit PerMinute = TidegateLimit.TokenBucket(60, TimeSpan.FromMinutes(1), burst: 10);

    private static KeyValuePair<string, string> Field(string name, string value) => new(name, value);

    private TidegateDecision Decided(long permits)
    {
        Limiter(PerMinute).GetKey("").TryAcquire(permits, out TidegateDecision decision);
        return decision;
    }

    [Fact]
    public void A_grant_tells_the_rule_and_what_is_left() => Assert.Equal(
        [Field("RateLimit-Policy", "\"orders\";q=60;w=60"), Field("RateLimit", "\"orders\";r=7;t=53")],
        TidegateHeaders.Format("orders", PerMinute, Decided(3)));

    [Fact]
    public void A_refusal_tells_when_to_come_back_as_well()
    {
        Decided(10);
        Assert.Equal(
            [Field("RateLimit-Policy", "\"orders\";q=60;w=60"), Field("RateLimit", "\"orders\";r=0;t=2"),
             Field("Retry-After", "2")],
            TidegateHeaders.Format("orders", PerMinute, Decided(2)));
    }

    [Fact]
    public void What_never_comes_is_not_told_to_come_back() => Assert.DoesNotContain(
        "Retry-After", TidegateHeaders.Format("orders", PerMinute, Decided(11)).Select(field => field.Key));

    [Fact]
    public void No_name_breaks_out_of_its_field()
    {
        IReadOnlyList<KeyValuePair<string, string>> fields =
            TidegateHeaders.Format("a\r\nSet-Cookie: \"ü: b", PerMinute, Decided(1));
        Assert.Equal(["RateLimit-Policy", "RateLimit"], fields.Select(field => field.Key));
        Assert.Equal("\"a%0D%0ASet-Cookie: \\\"%C3%BC: b\";q=60;w=60", fields[0].Value);
    }

    [Fact]
    public void A_limit_out_of_range_has_no_fields()
    {
        TidegateDecision decision = Decided(1);
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => TidegateHeaders.Format("orders", default, decision)));
        Assert.Throws<ArgumentNullException>(() => TidegateHeaders.Format(null!, PerMinute, decision));
    }
}
