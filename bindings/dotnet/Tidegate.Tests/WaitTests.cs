namespace Tidegate.Tests;

/// <summary>Real time is the point here: permits come while somebody waits.</summary>
public sealed class WaitTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly TidegateRuntime _runtime = Setup.Open();

    public void Dispose() => _runtime.Dispose();

    private TidegateKey Emptied(TidegateLimit limit)
    {
        TidegateKey key = _runtime.CreateLimiter("orders", limit).GetKey("");
        Assert.True(key.TryAcquire(limit.Burst));
        return key;
    }

    [Fact]
    public void A_blocking_wait_gets_the_permit_when_it_comes()
    {
        TidegateDecision decision = Emptied(Setup.PerSecond(20, burst: 1)).Acquire(1, Long);
        Assert.True(decision.IsGranted);
    }

    [Fact]
    public void A_blocking_wait_ends_with_its_time_out_and_takes_nothing()
    {
        TidegateKey key = Emptied(Setup.Still(burst: 1));
        Assert.Equal(TidegateStatus.TimedOut, key.Acquire(1, TimeSpan.FromMilliseconds(20)).Status);
        Assert.Equal(1, key.Status().Granted);
    }

    [Fact]
    public async Task An_asynchronous_wait_gets_the_permit_when_it_comes_and_not_before()
    {
        TidegateKey key = Emptied(Setup.PerSecond(10, burst: 1));
        ValueTask<TidegateDecision> wait = key.AcquireAsync(1, Long);
        Assert.False(wait.IsCompleted);
        Assert.True((await wait).IsGranted);
        Assert.Equal(2, key.Status().Granted);
    }

    [Fact]
    public async Task An_asynchronous_wait_is_over_at_once_when_waiting_is_no_use()
    {
        TidegateKey key = Emptied(Setup.Still(burst: 1));
        Assert.Equal(TidegateStatus.Never, (await key.AcquireAsync(2)).Status);
        Assert.Equal(TidegateStatus.Denied, (await key.AcquireAsync(1, TimeSpan.Zero)).Status);
        Assert.Equal(TidegateStatus.Denied, key.Acquire(1, TimeSpan.Zero).Status);
    }

    [Fact]
    public async Task An_asynchronous_wait_ends_with_its_time_out_and_takes_nothing()
    {
        TidegateKey key = Emptied(Setup.Still(burst: 1));
        Assert.Equal(TidegateStatus.TimedOut, (await key.AcquireAsync(1, TimeSpan.FromMilliseconds(20))).Status);
        Assert.Equal(1, key.Status().Granted);
    }

    [Fact]
    public async Task A_cancelled_wait_says_whose_token_it_was_and_leaves_nothing_taken()
    {
        TidegateKey key = Emptied(Setup.PerSecond(20, burst: 1));
        using CancellationTokenSource source = new();
        Task wait = key.AcquireAsync(1, Long, source.Token).AsTask();
        await source.CancelAsync();
        OperationCanceledException cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        Assert.Equal(source.Token, cancelled.CancellationToken);
        // The permit that it waited for is there for the next.
        Assert.True(key.Acquire(1, Long).IsGranted);
        Assert.Equal(2, key.Status().Granted);
    }

    [Fact]
    public async Task A_token_that_is_cancelled_already_takes_nothing_even_where_a_permit_is_there()
    {
        TidegateKey key = _runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("");
        CancellationToken cancelled = new(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => key.AcquireAsync(1, Long, cancelled).AsTask());
        Assert.Equal(0, key.Status().Granted);
        Assert.True((await key.AcquireAsync(1, CancellationToken.None)).IsGranted);
    }

    [Fact]
    public async Task A_thousand_asynchronous_waits_need_no_thread_each()
    {
        TidegateKey key = Emptied(Setup.PerSecond(5_000, burst: 500));
        Task<TidegateDecision>[] waits = [.. Enumerable.Range(0, 1_000).Select(_ => key.AcquireAsync(1, Long).AsTask())];
        Assert.InRange(ThreadPool.ThreadCount, 0, 100);
        Assert.All(await Task.WhenAll(waits), decision => Assert.True(decision.IsGranted));
        Assert.Equal(1_500, key.Status().Granted);
    }

    [Fact]
    public async Task A_failure_of_an_asynchronous_wait_is_in_its_task()
    {
        ValueTask<TidegateDecision> wait = default(TidegateKey).AcquireAsync(1, Long);
        TidegateException failure = await Assert.ThrowsAsync<TidegateException>(() => wait.AsTask());
        Assert.Equal(TidegateStatus.Stale, failure.Status);
    }

    [Fact]
    public void A_negative_time_is_refused_and_the_infinite_one_is_not()
    {
        TidegateKey key = _runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("");
        TimeSpan negative = TimeSpan.FromSeconds(-1);
        Assert.Throws<ArgumentOutOfRangeException>(() => key.Acquire(1, negative));
        Assert.Throws<ArgumentOutOfRangeException>(() => { key.AcquireAsync(1, negative); });
        Assert.True(key.Acquire(1, Timeout.InfiniteTimeSpan).IsGranted);
    }
}
