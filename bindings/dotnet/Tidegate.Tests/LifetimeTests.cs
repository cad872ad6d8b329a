using System.Runtime.CompilerServices;

namespace Tidegate.Tests;

public sealed class LifetimeTests
{
    [Theory]
    [InlineData("runtime", "limiter")]
    [InlineData("limiter", "runtime")]
    [InlineData("runtime", "runtime", "limiter", "limiter")]
    [InlineData("limiter", "limiter", "runtime", "runtime")]
    public void Any_order_of_disposing_ends_the_key_with_its_runtime_and_twice_is_once(params string[] order)
    {
        TidegateRuntime runtime = Setup.Open();
        TidegateLimiter limiter = runtime.CreateLimiter("orders", Setup.Still(burst: 9));
        TidegateKey key = limiter.GetKey("tenant-1");
        foreach (string what in order)
        {
            ((IDisposable)(what == "runtime" ? runtime : limiter)).Dispose();
        }
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire(1, out _)));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.Acquire(1, TimeSpan.FromSeconds(1))));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.Peek()));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.Status()));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(key.Release));
        Assert.Throws<ObjectDisposedException>(() => limiter.GetKey("tenant-1"));
        Assert.Throws<ObjectDisposedException>(() => runtime.CreateLimiter("orders", Setup.Still(burst: 9)));
        Assert.Throws<ObjectDisposedException>(() => runtime.StorageInfo);
        Assert.Throws<ObjectDisposedException>(() => runtime.Metrics());
        Assert.Throws<ObjectDisposedException>(() => runtime.SnapshotJson());
        Assert.Equal(TidegateHealthState.Closed, runtime.Health.State);
    }

    [Fact]
    public void A_key_outlives_its_limiter_while_the_runtime_is_open()
    {
        using TidegateRuntime runtime = Setup.Open();
        TidegateKey key;
        using (TidegateLimiter limiter = runtime.CreateLimiter("orders", Setup.Still(burst: 1)))
        {
            key = limiter.GetKey("tenant-1");
        }
        Assert.True(key.TryAcquire());
    }

    [Fact]
    public void A_key_is_released_as_often_as_it_was_asked_for_and_not_once_more()
    {
        using TidegateRuntime runtime = Setup.Open();
        TidegateLimiter limiter = runtime.CreateLimiter("orders", Setup.Still(burst: 9));
        TidegateKey key = limiter.GetKey("tenant-1");
        Assert.Equal(key, limiter.GetKey("tenant-1"));
        key.Release();
        Assert.True(key.TryAcquire());
        key.Release();
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(key.Release));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => default(TidegateKey).TryAcquire()));
    }

    [Fact]
    public void Closing_one_of_two_runtimes_of_equal_properties_leaves_the_other_and_its_keys_alone()
    {
        TidegateOptions options = Setup.Options();
        TidegateRuntime first = TidegateRuntime.Open(options);
        using TidegateRuntime second = TidegateRuntime.Open(options);
        TidegateKey key = first.CreateLimiter("orders", Setup.Still(burst: 2)).GetKey("tenant-1");
        TidegateKey same = second.CreateLimiter("orders", Setup.Still(burst: 2)).GetKey("tenant-1");
        Assert.Equal(key, same);
        first.Dispose();
        Assert.True(same.TryAcquire());
        Assert.Equal(TidegateHealthState.Ok, second.Health.State);
    }

    [Fact]
    public async Task Closing_is_asynchronous_happens_once_and_says_nothing_when_all_went_well()
    {
        TidegateRuntime runtime = Setup.Open();
        TidegateKey key = runtime.CreateLimiter("orders", Setup.Still(burst: 2)).GetKey("");
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => runtime.CloseAsync(TimeSpan.FromSeconds(-1)));
        Assert.True(key.TryAcquire());
        await Task.WhenAll(runtime.CloseAsync(TimeSpan.FromSeconds(5)), runtime.CloseAsync(TimeSpan.FromSeconds(5)));
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
        await runtime.CloseAsync(TimeSpan.Zero);
        await runtime.DisposeAsync();
    }

    [Fact]
    public async Task Await_using_closes_the_runtime()
    {
        TidegateKey key;
        await using (TidegateRuntime runtime = Setup.Open())
        {
            key = runtime.CreateLimiter("orders", Setup.Still(burst: 2)).GetKey("");
            Assert.True(key.TryAcquire());
        }
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
    }

    [Fact]
    public void Closing_ends_a_blocking_wait()
    {
        TidegateRuntime runtime = Setup.Open();
        TidegateKey key = runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("");
        Assert.True(key.TryAcquire());
        TidegateStatus ended = default;
        Thread waiter = new(() => ended = Setup.Fails(() => key.Acquire(1, Timeout.InfiniteTimeSpan)));
        waiter.Start();
        Setup.Until(() => key.Status().Waiting == 1, "the wait began");
        runtime.Dispose();
        Assert.True(waiter.Join(TimeSpan.FromSeconds(30)));
        Assert.Contains(ended, new[] { TidegateStatus.Stale, TidegateStatus.Closed });
    }

    [Fact]
    public async Task Closing_ends_an_asynchronous_wait()
    {
        TidegateRuntime runtime = Setup.Open();
        TidegateKey key = runtime.CreateLimiter("orders", Setup.PerSecond(2, burst: 1)).GetKey("");
        Assert.True(key.TryAcquire());
        Task<TidegateDecision> wait = key.AcquireAsync(1).AsTask();
        runtime.Dispose();
        TidegateException failure = await Assert.ThrowsAsync<TidegateException>(() => wait);
        Assert.Equal(TidegateStatus.Stale, failure.Status);
    }

    [Fact]
    public void The_garbage_collector_closes_nothing_whose_keys_may_be_in_use()
    {
        TidegateKey key = KeyOfForgottenOwners(out WeakReference owner);
        for (int i = 0; i < 10 && owner.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.False(owner.IsAlive, "the runtime was not collected: this test shows nothing");
        Assert.True(key.TryAcquire());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static TidegateKey KeyOfForgottenOwners(out WeakReference owner)
    {
        TidegateRuntime runtime = Setup.Open();
        owner = new(runtime);
        return runtime.CreateLimiter("orders", Setup.Still(burst: 1)).GetKey("");
    }

    [Fact]
    public void Disposing_under_full_use_gives_clear_answers_and_never_crashes()
    {
        for (int round = 0; round < 50; round++)
        {
            TidegateRuntime runtime = Setup.Open();
            TidegateLimiter limiter = runtime.CreateLimiter("orders", Setup.Still(burst: 1_000_000));
            TidegateKey key = limiter.GetKey("tenant-1");
            using Barrier start = new(5);
            Exception?[] ends = new Exception?[4];
            Action<int>[] uses =
            [
                _ => key.TryAcquire(),
                i => limiter.GetKey($"tenant-{i % 10}").Release(),
                _ => runtime.Metrics(),
                i => runtime.CreateLimiter($"orders-{i % 10}", Setup.Still(burst: 1)).Dispose(),
            ];
            Thread[] threads = [.. uses.Select((use, at) => new Thread(() =>
            {
                start.SignalAndWait();
                for (int i = 0; ends[at] is null; i++)
                {
                    ends[at] = Record.Exception(() => use(i));
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            start.SignalAndWait();
            runtime.Dispose();
            Array.ForEach(threads, thread => thread.Join());
            Assert.All(ends, end => Assert.True(
                end is ObjectDisposedException
                    or TidegateException { Status: TidegateStatus.Stale or TidegateStatus.Closed },
                $"{end}"));
        }
    }
}
