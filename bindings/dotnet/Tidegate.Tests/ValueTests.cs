using System.Text;

namespace Tidegate.Tests;

/// <summary>Decisions by value: the limiter holds a key for what comes again, and nobody notices but by the time it takes.</summary>
public sealed class ValueTests : StoppedTests
{
    private const int Most = HeldKeys.EntriesMax;

    private static void Twice(Action act)
    {
        act();
        act();
    }

    [Fact]
    public void A_key_is_held_for_a_value_that_comes_again_and_none_for_one_that_comes_once()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        Assert.True(limiter.TryAcquire("once"));
        Assert.Equal(0, limiter.HeldCount);
        Twice(() => Assert.True(limiter.TryAcquire("again")));
        Assert.Equal(1, limiter.HeldCount);
    }

    [Fact]
    public void Every_spelling_of_a_value_is_one_bucket_before_a_key_is_held_and_after()
    {
        string text = "Zürich-东京-\U0001F30A";
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 12));
        TidegateKey key = limiter.GetKey(text);
        for (int left = 11; left >= 0;)
        {
            Assert.True(limiter.TryAcquire(text.AsSpan(), 1, out TidegateDecision made));
            Assert.Equal(left--, made.Remaining);
            Assert.True(limiter.TryAcquire(utf8, 1, out made));
            Assert.Equal(left--, made.Remaining);
            Assert.True(limiter.TryAcquire(text, 1, out made));
            Assert.Equal(left--, made.Remaining);
            Assert.True(key.TryAcquire());
            left--;
        }
        Assert.Equal(1, limiter.HeldCount);
        Assert.False(limiter.TryAcquire(text));
        Assert.False(limiter.TryAcquire(utf8, 1, out _));
        Assert.True(limiter.TryAcquire("Zürich-东京"));
    }

    [Fact]
    public void A_refusal_of_a_held_key_says_what_one_without_says()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(10, burst: 2));
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        for (int i = 0; i < 3; i++)
        {
            Assert.False(limiter.TryAcquire("a", 1, out TidegateDecision no));
            Assert.Equal((TidegateStatus.Denied, TimeSpan.FromMilliseconds(100)), (no.Status, no.RetryAfter));
            Assert.False(limiter.TryAcquire("a", 3, out TidegateDecision never));
            Assert.Equal((TidegateStatus.Never, TimeSpan.MaxValue), (never.Status, never.RetryAfter));
        }
    }

    [Fact]
    public void What_fails_without_a_held_key_fails_with_one_in_the_same_words()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        string Words(Action act) => Assert.ThrowsAny<Exception>(act).Message;
        Action[] wrong =
        [
            () => limiter.TryAcquire("a", 0), () => limiter.TryAcquire("a", -1), () => limiter.TryAcquire("a", 0, out _),
            () => limiter.TryAcquire("\ud800"), () => limiter.TryAcquire([(byte)'a', 0xff], 1, out _), () => limiter.TryAcquire([0xff], 1, out _),
        ];
        string[] before = [.. wrong.Select(Words)];
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        Assert.Equal(1, limiter.HeldCount);
        Assert.Equal(before, wrong.Select(Words));
        Assert.True(limiter.TryAcquire("a"));
    }

    [Fact]
    public void Values_of_any_length_are_told_apart_also_those_that_are_too_long_to_be_kept()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 3));
        for (int length = 0; length <= 1_024; length = length < 40 ? length + 1 : length * 2)
        {
            string text = new('x', length);
            Twice(() => Assert.True(limiter.TryAcquire(text)));
            Assert.True(limiter.TryAcquire(Encoding.UTF8.GetBytes(text), 1, out _));
            Assert.False(limiter.TryAcquire(text));
            if (length > 0)
            {
                Assert.True(limiter.TryAcquire(text[..^1] + "y"));
                Assert.True(limiter.TryAcquire("y" + text[1..]));
            }
        }
        int kept = limiter.HeldCount;
        string tooLong = new('z', HeldKeys.CharsMax + 1);
        Twice(() => Assert.True(limiter.TryAcquire(tooLong)));
        Assert.Equal(kept, limiter.HeldCount);
        string longest = new('z', HeldKeys.CharsMax);
        Twice(() => Assert.True(limiter.TryAcquire(longest)));
        Assert.Equal(kept + 1, limiter.HeldCount);
    }

    [Fact]
    public void A_key_that_is_pushed_out_is_given_back_and_what_it_took_is_remembered()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        TidegateKey key = limiter.GetKey("a");
        key.Release();
        Assert.True(key.TryAcquire(), "the limiter holds it, too");
        for (int i = 0; i < 2 * Most; i++)
        {
            string text = $"other-{i}";
            Twice(() => Assert.True(limiter.TryAcquire(text)));
        }
        Assert.Equal(limiter.HeldCount, Runtime.Metrics().Keys);
        Assert.InRange(limiter.HeldCount, Most / 2, Most);
        limiter.TryAcquire("a", 1, out TidegateDecision made);
        Assert.Equal((TidegateStatus.Ok, 5), (made.Status, made.Remaining));
        limiter.Dispose();
        Assert.Equal(0, Runtime.Metrics().Keys);
    }

    [Fact]
    public void A_held_key_that_somebody_gave_back_once_too_often_is_held_again()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        TidegateKey key = limiter.GetKey("a");
        Twice(key.Release);
        Assert.Equal(0, Runtime.Metrics().Keys);
        Assert.True(limiter.TryAcquire("a"));
        Assert.Equal((1, 1), (limiter.HeldCount, Runtime.Metrics().Keys));
        limiter.TryAcquire("a", 1, out TidegateDecision made);
        Assert.Equal((TidegateStatus.Ok, 5), (made.Status, made.Remaining));
    }

    [Fact]
    public void Keys_that_are_held_are_given_back_where_room_is_wanted()
    {
        TidegateOptions options = Setup.Options();
        options["keys.max"] = "4";
        using TidegateRuntime small = TidegateRuntime.Open(options, Clock);
        TidegateLimiter limiter = small.CreateLimiter("values", Setup.PerSecond(10, burst: 10));
        for (int i = 0; i < 100; i++)
        {
            // What is no longer needed is looked for in some places at a time, and is forgotten at the second look.
            int tries = 0;
            while (Record.Exception(() => limiter.TryAcquire($"tenant-{i}")) is { } noRoom)
            {
                Assert.Equal(TidegateStatus.Capacity, Assert.IsType<TidegateException>(noRoom).Status);
                Assert.InRange(++tries, 1, 100);
            }
            Twice(() => Assert.True(limiter.TryAcquire($"tenant-{i}")));
            Assert.InRange(small.Metrics().Keys, 0, 4);
            // Full again: as good as never used.
            Advance(60);
        }
    }

    [Fact]
    public void Where_there_is_no_room_a_new_value_is_refused_and_a_held_one_is_not()
    {
        TidegateOptions options = Setup.Options();
        options["keys.max"] = "1";
        using TidegateRuntime small = TidegateRuntime.Open(options, Clock);
        TidegateLimiter limiter = small.CreateLimiter("values", Setup.Still(burst: 9));
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        TidegateException failure = Assert.Throws<TidegateException>(() => limiter.TryAcquire("b"));
        Assert.Equal(TidegateStatus.Capacity, failure.Status);
        Assert.Contains("keys.max", failure.Message, StringComparison.Ordinal);
        Assert.True(limiter.TryAcquire("a"));
    }

    [Fact]
    public void A_held_key_follows_the_limit()
    {
        TidegateLimiter limiter = Limiter(Setup.PerSecond(10, burst: 10));
        Twice(() => Assert.True(limiter.TryAcquire("a", 5)));
        limiter.SetLimit(Setup.PerSecond(10, burst: 20), TimeSpan.Zero);
        Advance(2);
        Assert.True(limiter.TryAcquire("a", 20));
        Assert.False(limiter.TryAcquire("a"));
    }

    [Fact]
    public void What_is_granted_and_refused_is_counted_as_without_held_keys()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 5));
        int granted = Enumerable.Range(0, 8).Count(_ => limiter.TryAcquire("a"));
        TidegateMetrics metrics = Runtime.Metrics();
        Assert.Equal((5, 5, 3), (granted, metrics.PermitsGranted, metrics.PermitsRefused));
    }

    [Fact]
    public void A_disposed_limiter_refuses_what_it_held_and_gives_it_back()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        Twice(() => Assert.True(limiter.TryAcquire("a")));
        limiter.Dispose();
        Assert.Throws<ObjectDisposedException>(() => limiter.TryAcquire("a"));
        Assert.Throws<ObjectDisposedException>(() => limiter.TryAcquire("a"u8, 1, out _));
        Assert.Throws<ObjectDisposedException>(() => limiter.TryAcquire("b"));
        Assert.Equal(0, limiter.HeldCount);
        TidegateLimiter other = Runtime.CreateLimiter("other", Setup.Still(burst: 9));
        Twice(() => Assert.True(other.TryAcquire("a")));
        Runtime.Dispose();
        Assert.Throws<ObjectDisposedException>(() => other.TryAcquire("a"));
        Assert.Equal(0, other.HeldCount);
    }

    [Fact]
    public void A_limiter_is_disposed_under_use_and_no_permit_is_lost_to_it()
    {
        for (int round = 0; round < 50; round++)
        {
            TidegateLimiter limiter = Runtime.CreateLimiter($"round {round}", Setup.Still(burst: 1_000_000));
            long granted = Runtime.Metrics().PermitsGranted;
            Exception? end = null;
            Thread user = new(() => end = Record.Exception(() =>
            {
                while (limiter.TryAcquire("a"))
                {
                    granted++;
                }
            }));
            user.Start();
            Thread.Yield();
            limiter.Dispose();
            user.Join();
            Assert.IsType<ObjectDisposedException>(end);
            Assert.Equal(granted, Runtime.Metrics().PermitsGranted);
        }
    }

    [Fact]
    public void Threads_that_ask_in_every_way_get_the_burst_and_not_one_more()
    {
        const int Values = 200;
        const int Burst = 50;
        TidegateLimiter limiter = Limiter(Setup.Still(Burst));
        string[] texts = [.. Enumerable.Range(0, Values).Select(i => $"tenant-{i}")];
        long granted = 0;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(thread => new Thread(() =>
        {
            long mine = 0;
            for (int i = 0; i < Values * Burst; i++)
            {
                string text = texts[(i * 7 + thread) % Values];
                mine += (thread switch
                {
                    0 => limiter.TryAcquire(text),
                    1 => limiter.TryAcquire(text.AsSpan(), 1, out _),
                    2 => limiter.TryAcquire(Encoding.UTF8.GetBytes(text), 1, out _),
                    _ => Ended(limiter.GetKey(text)),
                }) ? 1 : 0;
            }
            Interlocked.Add(ref granted, mine);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Equal(Values * Burst, granted);
        Assert.All(texts, text => Assert.False(limiter.TryAcquire(text)));
    }

    /// <summary>Takes one, and gives the key back under the feet of those who found the same.</summary>
    private static bool Ended(TidegateKey key)
    {
        try
        {
            return key.TryAcquire();
        }
        finally
        {
            key.Release();
        }
    }

    [Fact]
    public void Ever_new_values_leave_nothing_in_the_limiter_and_those_that_come_again_are_bounded()
    {
        TidegateLimiter limiter = Limiter(Setup.Still(burst: 9));
        for (int i = 0; i < 3 * Most; i++)
        {
            Assert.True(limiter.TryAcquire($"once-{i}"));
        }
        // A few share the mark of another by chance: one in 65,536.
        Assert.InRange(limiter.HeldCount, 0, 20);
        for (int i = 0; i < 3 * Most; i++)
        {
            string text = $"twice-{i}";
            Twice(() => Assert.True(limiter.TryAcquire(text)));
        }
        Assert.InRange(limiter.HeldCount, Most / 2, Most);
        Twice(() => Assert.True(limiter.TryAcquire("the next")));
        Assert.True(limiter.TryAcquire("once-0"));
    }

    [Fact]
    public void A_limiter_of_tiers_holds_keys_where_one_value_says_it_all()
    {
        TidegateLimiter limiter = Runtime.CreateLimiter(
            "tiers", new TidegateTier("all", Setup.Still(5)), new TidegateTier("topic", Setup.Still(3), "topic"));
        Twice(() => Assert.True(limiter.TryAcquire([("topic", "a")], 1, out _)));
        Assert.True(limiter.TryAcquire("a"));
        Assert.False(limiter.TryAcquire([("topic", "a")], 1, out TidegateDecision no));
        Assert.Equal("topic", limiter.TierName(no.Tier));
        Twice(() => Assert.True(limiter.TryAcquire([("topic", "b"), ("other", "x")], 1, out _)));
        Assert.False(limiter.TryAcquire("b", 1, out no));
        Assert.Equal("all", limiter.TierName(no.Tier));
        Assert.Equal(TidegateStatus.Argument, Setup.Fails(() => limiter.TryAcquire([("tpoic", "a")], 1, out _)));
        Assert.Throws<ArgumentNullException>(() => limiter.TryAcquire([("topic", null!)], 1, out _));
    }
}

/// <summary>The table of keys that are held, by itself.</summary>
public sealed class HeldKeysTests
{
    private readonly HeldKeys _keys = new();

    private ulong Find(string text) => _keys.Find(text, out _);

    private ulong Add(string text, ulong key)
    {
        _keys.Find(text, out ulong hash);
        return _keys.Add(text, hash, key);
    }

    [Fact]
    public void What_was_added_is_found_and_nothing_else()
    {
        Assert.Equal(0UL, Find("a"));
        for (int i = 1; i <= 1_000; i++)
        {
            Add($"tenant-{i}", (ulong)i);
        }
        Assert.All(Enumerable.Range(1, 1_000), i => Assert.Equal((ulong)i, Find($"tenant-{i}")));
        Assert.Equal((0UL, 0UL, 0UL), (Find(""), Find("tenant-"), Find("tenant-1001")));
        Assert.Equal(1_000, _keys.Count);
    }

    [Fact]
    public void A_text_has_one_key_the_last_one()
    {
        Assert.Equal((0UL, 1UL), (Add("a", 1), Add("a", 2)));
        Assert.Equal((2UL, 1), (Find("a"), _keys.Count));
    }

    [Fact]
    public void Those_whose_hashes_are_equal_are_told_apart_and_push_each_other_out()
    {
        _keys.Find("a", out ulong hash);
        for (int i = 0; i < 100; i++)
        {
            _keys.Add($"other-{i}", hash, 9);
            Assert.Equal(0UL, Find("a"));
        }
        Assert.Equal(16, _keys.Count);
        _keys.Add("a", hash, 1);
        Assert.Equal((1UL, 16), (Find("a"), _keys.Count));
    }

    [Fact]
    public void As_many_as_there_may_be_have_room_but_for_very_few_and_one_more_pushes_one_out()
    {
        for (int i = 1; i <= HeldKeys.EntriesMax; i++)
        {
            Add($"tenant-{i}", (ulong)i);
        }
        Assert.InRange(_keys.Count, HeldKeys.EntriesMax - 100, HeldKeys.EntriesMax);
        int kept = 0;
        for (int i = 1; i <= 1_000; i++)
        {
            Add($"other-{i}", (ulong)i);
            kept += Find($"other-{i}") == (ulong)i ? 1 : 0;
        }
        // Whoever is alone for 16 places pushes nobody out: one in 65,536.
        Assert.InRange(kept, 990, 1_000);
        Assert.InRange(_keys.Count, HeldKeys.EntriesMax - 100, HeldKeys.EntriesMax);
    }

    [Fact]
    public void Every_key_that_was_added_comes_out_once()
    {
        List<ulong> back = [];
        for (int i = 1; i <= 3 * HeldKeys.EntriesMax; i++)
        {
            back.Add(Add($"tenant-{i}", (ulong)i));
        }
        back.RemoveAll(key => key == 0);
        Assert.Equal(3 * HeldKeys.EntriesMax, back.Count + _keys.Count);
        back.AddRange(_keys.TakeAll(close: false));
        Assert.Equal(Enumerable.Range(1, 3 * HeldKeys.EntriesMax).Select(i => (ulong)i), back.Order());
        Assert.Equal((0UL, 0UL), (Find("tenant-1"), Add("tenant-1", 1)));
    }

    [Fact]
    public void A_closed_one_keeps_nothing_and_takes_nothing()
    {
        Add("a", 1);
        Assert.Equal([1UL], _keys.TakeAll(close: true));
        Assert.Equal(2UL, Add("b", 2));
        Assert.Equal((0UL, 0UL, 0), (Find("a"), Find("b"), _keys.Count));
    }

    [Fact]
    public void A_mark_is_left_by_each_and_found_by_the_same()
    {
        (ulong one, ulong other) = (0x1234_0000_0000_0001, 0x1234_0000_0000_0002);
        Assert.Equal((false, false, true, true), (
            _keys.CameBefore(one), _keys.CameBefore(other), _keys.CameBefore(one), _keys.CameBefore(other)));
    }
}
