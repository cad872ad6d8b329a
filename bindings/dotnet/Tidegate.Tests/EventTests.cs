using System.Diagnostics;

namespace Tidegate.Tests;

/// <summary>How what limits have to say is heard. Where somebody waits, real time is the point.</summary>
public sealed class EventTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly TidegateRuntime _runtime = Setup.Open();

    public void Dispose() => _runtime.Dispose();

    /// <summary>A limiter that has something to say whenever it is told so.</summary>
    private TidegateLimiter Talker()
    {
        TidegateLimiter limiter = _runtime.CreateLimiter(
            "talker", new TidegateTier("a", Setup.Still(1)), new TidegateTier("b", Setup.Still(1)));
        limiter.PauseOnLag(0, 0);
        return limiter;
    }

    [Fact]
    public void An_event_names_its_limiter_and_its_tier_and_is_given_out_once()
    {
        Talker().ObserveLag(1);
        Assert.Equal(new TidegateEvent(TidegateEventKind.Paused, "talker", 0, "", 0), _runtime.NextEvent(Long));
        Assert.Equal(new TidegateEvent(TidegateEventKind.Paused, "talker", 1, "", 0), _runtime.NextEvent(Long));
        Assert.Null(_runtime.NextEvent(TimeSpan.Zero));
    }

    [Fact]
    public void Events_that_nobody_takes_are_bounded_and_what_was_dropped_is_counted()
    {
        TidegateLimiter limiter = Talker();
        for (int i = 0; i < 2_058; i++)
        {
            limiter.ObserveLag((i + 1) % 2);
        }
        List<TidegateEvent> events = [];
        while (_runtime.NextEvent(TimeSpan.Zero) is { } happened)
        {
            events.Add(happened);
        }
        Assert.Equal((4_096, 20), (events.Count, events.Sum(happened => happened.Dropped)));
    }

    [Fact]
    public void Who_waits_is_woken_by_what_happens_and_where_nothing_does_by_the_time()
    {
        long start = Stopwatch.GetTimestamp();
        Assert.Null(_runtime.NextEvent(TimeSpan.FromMilliseconds(150)));
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.FromMilliseconds(150), Long);
        TidegateEvent? heard = null;
        Thread waiter = new(() => heard = _runtime.NextEvent(Timeout.InfiniteTimeSpan));
        waiter.Start();
        Assert.False(waiter.Join(TimeSpan.FromMilliseconds(150)));
        Talker().ObserveLag(1);
        Assert.True(waiter.Join(Long));
        Assert.Equal(TidegateEventKind.Paused, heard?.Kind);
        Assert.Throws<ArgumentOutOfRangeException>(() => _runtime.NextEvent(TimeSpan.FromSeconds(-1)));
    }

    [Fact]
    public void Closing_sends_away_who_waits_and_is_over_when_it_returns()
    {
        TidegateKey key = _runtime.CreateLimiter("orders", Setup.Still(1)).GetKey("");
        Exception? end = null;
        Thread waiter = new(() => end = Record.Exception(() => _runtime.NextEvent(Timeout.InfiniteTimeSpan)));
        waiter.Start();
        Assert.False(waiter.Join(TimeSpan.FromMilliseconds(150)));
        _runtime.Dispose();
        Assert.Equal(TidegateStatus.Stale, Setup.Fails(() => key.TryAcquire()));
        Assert.True(waiter.Join(Long));
        Assert.IsType<ObjectDisposedException>(end);
        Assert.Throws<ObjectDisposedException>(() => _runtime.NextEvent(TimeSpan.Zero));
    }

    [Fact]
    public void A_cancellation_sends_away_who_waits_and_nobody_else()
    {
        using CancellationTokenSource source = new();
        Exception? end = null;
        TidegateEvent? heard = null;
        Thread cancelled = new(() => end = Record.Exception(() => _runtime.NextEvent(Timeout.InfiniteTimeSpan, source.Token)));
        Thread waiter = new(() => heard = _runtime.NextEvent(Timeout.InfiniteTimeSpan));
        cancelled.Start();
        waiter.Start();
        Assert.False(cancelled.Join(TimeSpan.FromMilliseconds(100)));
        source.Cancel();
        Assert.True(cancelled.Join(Long));
        Assert.Equal(source.Token, Assert.IsType<OperationCanceledException>(end).CancellationToken);
        Assert.False(waiter.Join(TimeSpan.FromMilliseconds(100)));
        Assert.Throws<OperationCanceledException>(() => _runtime.NextEvent(TimeSpan.Zero, source.Token));
        Talker().ObserveLag(1);
        Assert.True(waiter.Join(Long));
        Assert.Equal(0, heard?.Tier);
        Assert.Throws<OperationCanceledException>(() => _runtime.NextEvent(Long, source.Token));
        Assert.Equal(1, _runtime.NextEvent(TimeSpan.Zero)?.Tier);
    }

    [Fact]
    public void Whenever_a_cancellation_or_closing_comes_the_wait_ends()
    {
        for (int round = 0; round < 200; round++)
        {
            using TidegateRuntime runtime = Setup.Open();
            using CancellationTokenSource source = new();
            using Barrier start = new(3);
            Exception? end = null;
            Thread waiter = new(() =>
            {
                start.SignalAndWait();
                end = Record.Exception(() => runtime.NextEvent(Timeout.InfiniteTimeSpan, source.Token));
            });
            // It takes wakes that were meant for the other.
            Thread looker = new(() =>
            {
                start.SignalAndWait();
                for (int i = 0; i < 100; i++)
                {
                    _ = Record.Exception(() => runtime.NextEvent(TimeSpan.Zero));
                }
            });
            waiter.Start();
            looker.Start();
            start.SignalAndWait();
            Thread.SpinWait(round * 20);
            (round % 2 == 0 ? source.Cancel : (Action)runtime.Dispose)();
            Assert.True(waiter.Join(Long));
            looker.Join();
            Assert.IsType(round % 2 == 0 ? typeof(OperationCanceledException) : typeof(ObjectDisposedException), end);
        }
    }

    [Fact]
    public void Closing_waits_for_nobody_who_listens_to_another_runtime_of_equal_properties()
    {
        TidegateOptions options = Setup.Options();
        using TidegateRuntime stays = TidegateRuntime.Open(options);
        TidegateEvent? heard = null;
        Thread waiter = new(() => heard = stays.NextEvent(Timeout.InfiniteTimeSpan));
        waiter.Start();
        Assert.False(waiter.Join(TimeSpan.FromMilliseconds(100)));
        TidegateRuntime.Open(options).Dispose();
        Assert.False(waiter.Join(TimeSpan.FromMilliseconds(100)));
        TidegateLimiter limiter = stays.CreateLimiter("talker", Setup.Still(1));
        limiter.PauseOnLag(0, 0);
        limiter.ObserveLag(1);
        Assert.True(waiter.Join(Long));
        Assert.Equal(TidegateEventKind.Paused, heard?.Kind);
    }

    [Fact]
    public async Task Events_come_as_they_happen_and_end_with_the_runtime()
    {
        TidegateLimiter limiter = Talker();
        limiter.ObserveLag(1);
        List<(TidegateEventKind, int)> heard = [];
        await foreach (TidegateEvent happened in _runtime.EventsAsync())
        {
            heard.Add((happened.Kind, happened.Tier));
            if (heard.Count == 2)
            {
                // Nothing is left: the next ones come while it waits.
                _ = Task.Run(() => limiter.ObserveLag(0));
            }
            else if (heard.Count == 4)
            {
                _ = Task.Run(_runtime.Dispose);
            }
        }
        Assert.Equal(
            [(TidegateEventKind.Paused, 0), (TidegateEventKind.Paused, 1),
             (TidegateEventKind.Resumed, 0), (TidegateEventKind.Resumed, 1)], heard);
        await foreach (TidegateEvent happened in _runtime.EventsAsync())
        {
            Assert.Fail($"after the end: {happened}");
        }
    }

    [Fact]
    public async Task A_cancellation_ends_the_events_and_loses_none()
    {
        using CancellationTokenSource source = new();
        ValueTask<bool> Next(IAsyncEnumerator<TidegateEvent> events) => events.MoveNextAsync();
        await using (IAsyncEnumerator<TidegateEvent> events = _runtime.EventsAsync(source.Token).GetAsyncEnumerator())
        {
            Task<bool> waiting = Next(events).AsTask();
            await source.CancelAsync();
            OperationCanceledException cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
            Assert.Equal(source.Token, cancelled.CancellationToken);
        }
        Talker().ObserveLag(1);
        await using (IAsyncEnumerator<TidegateEvent> events = _runtime.EventsAsync(source.Token).GetAsyncEnumerator())
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Next(events).AsTask());
        }
        Assert.Equal(0, _runtime.NextEvent(TimeSpan.Zero)?.Tier);
    }

    [Fact]
    public async Task A_hundred_listeners_hold_no_thread_and_each_event_goes_to_one_of_them()
    {
        using CancellationTokenSource stop = new();
        int heard = 0;
        async Task Listen()
        {
            await foreach (TidegateEvent _ in _runtime.EventsAsync(stop.Token))
            {
                Interlocked.Increment(ref heard);
            }
        }
        int threads = Process.GetCurrentProcess().Threads.Count;
        Task[] listeners = [.. Enumerable.Range(0, 100).Select(_ => Listen())];
        Assert.InRange(Process.GetCurrentProcess().Threads.Count, 0, threads + 50);
        Talker().ObserveLag(1);
        Setup.Until(() => Volatile.Read(ref heard) == 2, "both tiers were heard");
        Assert.All(listeners, listener => Assert.False(listener.IsCompleted));
        _runtime.Dispose();
        await Task.WhenAll(listeners);
        Assert.Equal(2, heard);
    }

    [Fact]
    public void Pressure_ends_for_a_source_that_stopped_asking()
    {
        TidegateLimit limit = Setup.PerSecond(100, burst: 20).Enforced(TidegateEnforcement.Backpressure);
        TidegateKey key = _runtime.CreateLimiter("source", limit).GetKey("orders");
        while (key.TryAcquire())
        {
        }
        Assert.Equal(TidegateEventKind.PressureOn, _runtime.NextEvent(Long)?.Kind);
        Assert.Equal(
            new TidegateEvent(TidegateEventKind.PressureOff, "source", 0, "orders", 0), _runtime.NextEvent(Long));
    }
}
