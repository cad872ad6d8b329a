// Nanoseconds and bytes of a decision, against System.Threading.RateLimiting in the same run.
//
//   dotnet run -c Release --project Tidegate.Benchmarks -- [--json] [rounds]
//
// Loops and not BenchmarkDotNet, since what matters most is two threads on one bucket. The variants of a case take turns
// in short rounds, so that a noisy machine disturbs all alike; only those rounds count in which every thread had a
// processor most of the time, and ran beside the other. Each variant has a loop of its own: called through a delegate
// each time, the fastest would cost a third more.
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Threading.RateLimiting;
using Tidegate;

// So large, and refilled so fast, that every call is granted.
const int Plenty = 1_000_000_000;
const int Keys = 1_000;
bool json = args.Contains("--json");
int rounds = args.FirstOrDefault(arg => arg != "--json") is { } number ? int.Parse(number, CultureInfo.InvariantCulture) : 150;

using TidegateRuntime runtime = TidegateRuntime.Open(new TidegateOptions { Storage = "memory" });
TidegateLimiter plenty = runtime.CreateLimiter("plenty", TidegateLimit.TokenBucket(Plenty, TimeSpan.FromSeconds(1)));
TidegateKey key = plenty.GetKey("tenant-1");
using TokenBucketRateLimiter theirs = new(Theirs(Plenty, TimeSpan.FromMilliseconds(100)));
new Case("one key, granted", granted: true)
{
    ["Tidegate TryAcquire()"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.TryAcquire() ? 1 : 0; } return n; },
    ["Tidegate TryAcquire(out)"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.TryAcquire(1, out _) ? 1 : 0; } return n; },
    ["Tidegate AcquireAsync"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.AcquireAsync(1).Result.IsGranted ? 1 : 0; } return n; },
    ["TokenBucketRateLimiter"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = theirs.AttemptAcquire(); n += lease.IsAcquired ? 1 : 0; } return n; },
}.Measure(rounds, json);

TidegateKey dry = runtime.CreateLimiter("dry", TidegateLimit.TokenBucket(1, TimeSpan.FromDays(1))).GetKey("");
using TokenBucketRateLimiter theirsDry = new(Theirs(1, TimeSpan.FromDays(1)));
(dry.TryAcquire(), theirsDry.AttemptAcquire()).Item2.Dispose();
new Case("one key, refused", granted: false)
{
    ["Tidegate TryAcquire()"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += dry.TryAcquire() ? 1 : 0; } return n; },
    ["TokenBucketRateLimiter"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = theirsDry.AttemptAcquire(); n += lease.IsAcquired ? 1 : 0; } return n; },
}.Measure(rounds, json);

TidegateLimiter idle = runtime.CreateLimiter("idle", TidegateLimit.TokenBucket(Plenty, TimeSpan.FromSeconds(1)));
string[] texts = [.. Enumerable.Range(0, Keys).Select(at => $"tenant-{at:D8}")];
TidegateKey[] keys = [.. texts.Select(plenty.GetKey)];
ConcurrentDictionary<string, TidegateKey> known = new();
using PartitionedRateLimiter<string> partitioned = PartitionedRateLimiter.Create<string, string>(
    text => RateLimitPartition.GetTokenBucketLimiter(text, _ => Theirs(Plenty, TimeSpan.FromMilliseconds(100))));
new Case("1,000 keys", granted: true)
{
    ["Tidegate, key at hand"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += keys[i % Keys].TryAcquire() ? 1 : 0; } return n; },
    ["Tidegate TryAcquire(text)"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += idle.TryAcquire(texts[i % Keys]) ? 1 : 0; } return n; },
    ["Tidegate, dictionary of keys"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += known.GetOrAdd(texts[i % Keys], static (text, from) => from.GetKey(text), plenty).TryAcquire() ? 1 : 0; } return n; },
    ["PartitionedRateLimiter"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = partitioned.AttemptAcquire(texts[i % Keys]); n += lease.IsAcquired ? 1 : 0; } return n; },
}.Measure(rounds, json);

TidegateKey three = runtime.CreateLimiter("three", [.. Enumerable.Range(0, 3).Select(at => new TidegateTier($"tier {at}", plenty.Limit))]).GetKey("");
using RateLimiter chained = RateLimiter.CreateChained(
    [.. Enumerable.Range(0, 3).Select(_ => new TokenBucketRateLimiter(Theirs(Plenty, TimeSpan.FromMilliseconds(100))))]);
new Case("three tiers", granted: true)
{
    ["Tidegate, three tiers"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { n += three.TryAcquire() ? 1 : 0; } return n; },
    ["CreateChained"] = calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = chained.AttemptAcquire(); n += lease.IsAcquired ? 1 : 0; } return n; },
}.Measure(rounds, json);

static TokenBucketRateLimiterOptions Theirs(int permits, TimeSpan period) => new()
{
    TokenLimit = permits,
    TokensPerPeriod = permits,
    ReplenishmentPeriod = period,
    AutoReplenishment = true,
    QueueLimit = 0,
};

/// <summary>Variants that are compared: each makes so many calls, and returns how many were granted.</summary>
internal sealed class Case(string name, bool granted)
{
    private const int Calls = 20_000;
    private readonly List<(string Name, Func<int, int> Loop)> _variants = [];

    public Func<int, int> this[string variant]
    {
        set => _variants.Add((variant, value));
    }

    /// <summary>Prints a line for each variant and number of threads, and one for what it allocates.</summary>
    public void Measure(int rounds, bool json)
    {
        // Until the compiler has done its best.
        for (int i = 0; i < 100; i++)
        {
            _variants.ForEach(variant => variant.Loop(Calls));
            Thread.Sleep(10);
        }
        int[] counts = [1, 2];
        var results = _variants.Select(_ => counts.Select(_ => new List<double?>()).ToArray()).ToArray();
        for (int round = 0; round < rounds; round++)
        {
            for (int turn = 0; turn < _variants.Count; turn++)
            {
                int who = (round + turn) % _variants.Count;
                for (int at = 0; at < counts.Length; at++)
                {
                    results[who][at].Add(Round(_variants[who].Loop, counts[at]));
                }
            }
        }
        for (int at = 0; at < counts.Length; at++)
        {
            for (int who = 0; who < _variants.Count; who++)
            {
                Print(json, counts[at] == 1 ? name : $"{name}, 2 threads", _variants[who].Name, "ns", results[who][at]);
            }
        }
        foreach ((string variant, Func<int, int> loop) in _variants)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            loop(Calls);
            double bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Calls;
            Print(json, $"{name}, allocated", variant, "bytes", [bytes]);
        }
    }

    private static void Print(bool json, string situation, string who, string unit, List<double?> rounds)
    {
        if (json)
        {
            IEnumerable<double?> values = rounds.Select(value => value is { } number ? Math.Round(number, 2) : (double?)null);
            Console.WriteLine(JsonSerializer.Serialize(new Dictionary<string, object>
            {
                ["part"] = "dotnet", ["case"] = situation, ["who"] = who, ["unit"] = unit, ["rounds"] = values,
            }));
            return;
        }
        double[] clean = [.. rounds.OfType<double>().Order()];
        string median = clean.Length == 0 ? "no round in which all ran side by side" : $"{clean[clean.Length / 2],8:F1} {unit} ({clean.Length} rounds)";
        Console.WriteLine($"{situation,-30}{who,-32}{median}");
    }

    /// <summary>Nanoseconds of processor time per call; null when the threads did not run side by side all the time.</summary>
    private double? Round(Func<int, int> loop, int threads)
    {
        int waiting = threads;
        Span[] spans = new Span[threads];
        bool whole = true;
        Thread[] all = [.. Enumerable.Range(0, threads).Select(at => new Thread(() =>
        {
            Interlocked.Decrement(ref waiting);
            while (Volatile.Read(ref waiting) > 0)
            {
            }
            long begin = Stopwatch.GetTimestamp();
            long cpu = ThreadClock.Now();
            whole &= loop(Calls) == (granted ? Calls : 0);
            spans[at] = new(begin, Stopwatch.GetTimestamp(), ThreadClock.Now() - cpu);
        }))];
        Array.ForEach(all, thread => thread.Start());
        Array.ForEach(all, thread => thread.Join());
        if (!whole)
        {
            throw new InvalidOperationException($"{name}: a call was answered otherwise than its bucket says");
        }
        double together = spans.Min(span => span.End) - spans.Max(span => span.Begin);
        bool clean = spans.All(span => span.CpuNs > 0.8 * span.Wall && together > 0.8 * span.Wall);
        return clean ? spans.Average(span => span.CpuNs) / Calls : null;
    }
}

internal readonly record struct Span(long Begin, long End, long CpuNs)
{
    // Stopwatch counts nanoseconds on Linux.
    internal double Wall => End - Begin;
}

internal static unsafe partial class ThreadClock
{
    private const int ClockThreadCpuTime = 3;

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, long* time);

    internal static long Now()
    {
        long* time = stackalloc long[2];
        return clock_gettime(ClockThreadCpuTime, time) == 0 ? time[0] * 1_000_000_000 + time[1] : 0;
    }
}
