using System.Diagnostics;

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

    [Fact]
    public async Task Any_time_out_may_be_given_and_the_longest_wait_longest()
    {
        TidegateKey key = Emptied(Setup.PerSecond(100, burst: 1));
        Assert.True((await key.AcquireAsync(1, TimeSpan.MaxValue)).IsGranted);
        Assert.True((await key.AcquireAsync(1, Timeout.InfiniteTimeSpan)).IsGranted);
        Assert.Equal(TidegateStatus.TimedOut, (await key.AcquireAsync(1, TimeSpan.FromTicks(1))).Status);
    }

    [Fact]
    public async Task A_wait_is_no_refusal_and_is_counted_once()
    {
        TidegateKey key = Emptied(Setup.PerSecond(20, burst: 1));
        Task<TidegateDecision> first = key.AcquireAsync(1, Long).AsTask();
        long refused = key.Status().Refused;
        Assert.InRange(refused, 0, 1);
        Task<TidegateDecision>[] waits = [.. Enumerable.Range(0, 5).Select(_ => key.AcquireAsync(1, Long).AsTask())];
        Assert.All(await Task.WhenAll([first, .. waits]), decision => Assert.True(decision.IsGranted));
        Assert.Equal((7, refused), (key.Status().Granted, key.Status().Refused));
    }

    [Fact]
    public async Task Keys_that_share_a_tier_are_served_as_fast_as_it_refills()
    {
        TidegateLimiter limiter = _runtime.CreateLimiter(
            "tiers", new TidegateTier("all", Setup.PerSecond(2_000, 100)), new TidegateTier("topic", Setup.PerSecond(9_999, 9_999), "topic"));
        TidegateKey[] keys = [.. Enumerable.Range(0, 100).Select(topic => limiter.GetKey($"{topic}"))];
        Assert.True(keys[0].TryAcquire(100));
        long start = Stopwatch.GetTimestamp();
        async Task Consume(TidegateKey key)
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.True((await key.AcquireAsync(1, Long)).IsGranted);
            }
        }
        await Task.WhenAll(keys.Select(Consume));
        // Half a second; were they not looked at in their order, twenty.
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.FromSeconds(0.45), TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_storm_of_waits_and_cancellations_loses_no_permit_and_no_place()
    {
        const int Waits = 2_000;
        TidegateKey key = Emptied(Setup.PerSecond(2_000, burst: 50));
        int granted = 0;
        async Task Wait(int at)
        {
            using CancellationTokenSource source = new();
            Task<TidegateDecision> wait = key.AcquireAsync(1, Long, source.Token).AsTask();
            if (at % 2 == 0)
            {
                _ = Task.Run(source.Cancel);
            }
            try
            {
                Assert.True((await wait).IsGranted);
                Interlocked.Increment(ref granted);
            }
            catch (OperationCanceledException)
            {
                Assert.Equal(0, at % 2);
            }
        }
        for (int at = 0; at < Waits; at += 100)
        {
            await Task.WhenAll(Enumerable.Range(at, 100).Select(Wait));
        }
        Assert.InRange(granted, Waits / 2, Waits);
        TidegateKeyStatus status = key.Status();
        Assert.Equal((50 + granted, 0), (status.Granted, status.Waiting));
    }
}

/// <summary>The order of those who wait, seen with a clock that stands still: each permit is a step of it.</summary>
public sealed class OrderTests : StoppedTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private TidegateKey Emptied(TidegateLimit limit)
    {
        TidegateKey key = Limiter(limit).GetKey("");
        Assert.True(key.TryAcquire(limit.Burst));
        return key;
    }

    [Fact]
    public async Task Tasks_and_threads_that_wait_are_served_in_the_order_in_which_they_came()
    {
        TidegateKey key = Emptied(Setup.PerSecond(100, burst: 1));
        Task<TidegateDecision>[] waits = new Task<TidegateDecision>[6];
        for (int i = 0; i < waits.Length; i++)
        {
            waits[i] = i % 3 == 1 ? Task.Run(() => key.Acquire(1, Long)) : key.AcquireAsync(1, Long).AsTask();
            Setup.Until(() => key.Status().Waiting == i + 1, "the next stands in line");
        }
        for (int i = 0; i < waits.Length; i++)
        {
            Assert.All(waits[i..], wait => Assert.False(wait.IsCompleted));
            Advance(0.01);
            Assert.False(key.TryAcquire(), "nobody overtakes those who wait");
            Assert.True((await waits[i].WaitAsync(Long)).IsGranted);
        }
        Assert.Equal((7, 0), (key.Status().Granted, key.Status().Waiting));
    }

    [Fact]
    public async Task Who_waits_for_much_is_not_passed_by_who_waits_for_little()
    {
        TidegateKey key = Emptied(Setup.PerSecond(100, burst: 2));
        Task<TidegateDecision> much = key.AcquireAsync(2, Long).AsTask();
        Task<TidegateDecision> little = key.AcquireAsync(1, Long).AsTask();
        Advance(0.01);
        await Task.Delay(100);
        Assert.False(much.IsCompleted || little.IsCompleted);
        Advance(0.01);
        Assert.True((await much.WaitAsync(Long)).IsGranted);
        Assert.False(little.IsCompleted);
        Advance(0.01);
        Assert.True((await little.WaitAsync(Long)).IsGranted);
    }

    [Fact]
    public async Task Who_gives_up_makes_room_at_once_and_takes_nothing()
    {
        TidegateKey key = Emptied(Setup.PerSecond(1, burst: 2));
        using CancellationTokenSource source = new();
        Task much = key.AcquireAsync(2, Long, source.Token).AsTask();
        Task<TidegateDecision> late = key.AcquireAsync(2, TimeSpan.FromMilliseconds(50)).AsTask();
        Task<TidegateDecision> little = key.AcquireAsync(1, Long).AsTask();
        Advance(1);
        Assert.Equal(TidegateStatus.TimedOut, (await late.WaitAsync(Long)).Status);
        Assert.False(little.IsCompleted);
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => much);
        Assert.True((await little.WaitAsync(Long)).IsGranted);
        TidegateKeyStatus status = key.Status();
        Assert.Equal((3, 0, 0), (status.Granted, status.Waiting, status.Remaining));
    }

    [Fact]
    public async Task A_grant_after_a_wait_is_spent_and_holds_nothing()
    {
        TidegateKey key = Emptied(Setup.PerSecond(100, burst: 10));
        Task<TidegateDecision> wait = key.AcquireAsync(10, Long).AsTask();
        Advance(0.1);
        Assert.True((await wait.WaitAsync(Long)).IsGranted);
        // What a reservation holds counts against the burst: then it would not fill.
        Advance(0.1);
        Assert.True(key.TryAcquire(10));
        Assert.Equal(30, key.Status().Granted);
    }
}
