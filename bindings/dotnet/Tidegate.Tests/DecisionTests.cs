namespace Tidegate.Tests;

public sealed class DecisionTests : IDisposable
{
    private readonly TidegateRuntime _runtime = Setup.Open();

    public void Dispose() => _runtime.Dispose();

    private TidegateKey Key(TidegateLimit limit) => _runtime.CreateLimiter("orders", limit).GetKey("tenant-1");

    [Fact]
    public void The_burst_is_granted_and_the_next_permit_is_not()
    {
        TidegateKey key = Key(Setup.Still(burst: 3));
        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(_ => key.TryAcquire()));
    }

    [Fact]
    public void A_grant_says_what_is_left_and_no_time_to_wait()
    {
        Assert.True(Key(Setup.Still(burst: 5)).TryAcquire(2, out TidegateDecision decision));
        Assert.True(decision.IsGranted);
        Assert.Equal((TidegateStatus.Ok, 3, TimeSpan.Zero), (decision.Status, decision.Remaining, decision.RetryAfter));
        Assert.Equal((TidegateBasis.Local, 0), (decision.Basis, decision.Tier));
    }

    [Fact]
    public void A_refusal_says_when_to_come_back()
    {
        TidegateKey key = Key(Setup.PerSecond(permits: 1, burst: 1));
        Assert.True(key.TryAcquire());
        Assert.False(key.TryAcquire(1, out TidegateDecision decision));
        Assert.False(decision.IsGranted);
        Assert.Equal(TidegateStatus.Denied, decision.Status);
        Assert.InRange(decision.RetryAfter, TimeSpan.FromTicks(1), TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void More_than_the_burst_never_comes_and_exactly_the_burst_does()
    {
        TidegateKey key = Key(Setup.Still(burst: 5));
        Assert.False(key.TryAcquire(6, out TidegateDecision decision));
        Assert.Equal((TidegateStatus.Never, TimeSpan.MaxValue), (decision.Status, decision.RetryAfter));
        Assert.True(key.TryAcquire(5));
    }

    [Fact]
    public void A_changed_limit_binds_at_once_and_one_out_of_range_changes_nothing()
    {
        using TidegateLimiter limiter = _runtime.CreateLimiter("changed", Setup.Still(burst: 5));
        TidegateKey key = limiter.GetKey("");
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.SetLimit(default, TimeSpan.Zero)));
        Assert.True(key.TryAcquire(4));
        limiter.SetLimit(Setup.Still(burst: 2), TimeSpan.Zero);
        Assert.Equal(2, limiter.Limit.Burst);
        Assert.False(key.TryAcquire(3, out TidegateDecision decision));
        Assert.Equal(TidegateStatus.Never, decision.Status);
        Assert.Equal([true, false], Enumerable.Range(0, 2).Select(_ => key.TryAcquire()));
    }

    [Fact]
    public void No_permits_at_all_are_a_failure_and_a_negative_number_is_never_sent()
    {
        TidegateKey key = Key(Setup.Still(burst: 5));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => key.TryAcquire(0)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => key.TryAcquire(0, out _)));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => key.Acquire(0, TimeSpan.Zero)));
        Assert.Throws<ArgumentOutOfRangeException>(() => key.TryAcquire(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => key.TryAcquire(-1, out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => key.Acquire(-1, TimeSpan.Zero));
        Assert.Throws<ArgumentOutOfRangeException>(() => { key.AcquireAsync(-1); });
        Assert.Equal(0, key.Status().Granted);
    }

    [Fact]
    public void Peeking_takes_nothing_and_trying_does()
    {
        TidegateKey key = Key(Setup.Still(burst: 1));
        Assert.True(key.Peek().IsGranted);
        Assert.True(key.Peek().IsGranted);
        Assert.True(key.TryAcquire());
        Assert.Equal(TidegateStatus.Denied, key.Peek().Status);
    }

    [Fact]
    public void A_status_counts_what_was_granted_and_refused()
    {
        TidegateKey key = Key(Setup.PerSecond(permits: 4, burst: 2));
        Assert.True(key.TryAcquire(2));
        Assert.False(key.TryAcquire(2));
        TidegateKeyStatus status = key.Status();
        Assert.Equal((2, 2, 2, 4.0), (status.Granted, status.Refused, status.Burst, status.RatePerSecond));
        Assert.Equal((4.0, 2, 0), (status.ShareRatePerSecond, status.ShareBurst, status.Waiting));
        Assert.Equal(TidegateBasis.Local, Key(Setup.PerSecond(permits: 4, burst: 2)).Status().Basis);
    }

    [Fact]
    public void One_value_is_one_bucket_however_it_is_spelled_and_another_value_is_another()
    {
        using TidegateLimiter limiter = _runtime.CreateLimiter("orders", Setup.Still(burst: 1));
        string name = "Zürich-东京";
        TidegateKey key = limiter.GetKey(name);
        Assert.Equal(key, limiter.GetKey("Zürich-东京"u8));
        Assert.Equal(key, limiter.GetKey(name.AsSpan()));
        Assert.NotEqual(key, limiter.GetKey("Zürich"));
        Assert.True(key.TryAcquire());
        Assert.False(limiter.GetKey(name).TryAcquire());
        Assert.True(limiter.GetKey("Zürich").TryAcquire());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(85)]
    [InlineData(86)]
    [InlineData(1024)]
    public void A_key_of_any_allowed_length_is_found_again(int length)
    {
        using TidegateLimiter limiter = _runtime.CreateLimiter("orders", Setup.Still(burst: 1));
        string value = new('k', length);
        Assert.Equal(limiter.GetKey(System.Text.Encoding.UTF8.GetBytes(value)), limiter.GetKey(value));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.GetKey(new string('k', 1025))));
    }

    [Fact]
    public void Half_a_surrogate_pair_is_no_key()
    {
        using TidegateLimiter limiter = _runtime.CreateLimiter("orders", Setup.Still(burst: 1));
        Assert.ThrowsAny<ArgumentException>(() => limiter.GetKey("\ud83d"));
        Assert.True(limiter.GetKey("\ud83d\ude00").TryAcquire());
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.GetKey([0xff])));
    }

    [Fact]
    public void Eight_threads_get_the_burst_between_them_and_not_one_permit_more()
    {
        const int Burst = 20_000;
        TidegateKey key = Key(Setup.Still(Burst));
        long granted = 0;
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            long mine = 0;
            // Each asks often enough to empty the bucket alone.
            for (int i = 0; i < Burst + 1; i++)
            {
                mine += key.TryAcquire() ? 1 : 0;
            }
            Interlocked.Add(ref granted, mine);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(Burst, granted);
        Assert.Equal(Burst, key.Status().Granted);
    }
}
