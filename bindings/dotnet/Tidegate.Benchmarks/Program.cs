// Nanoseconds of a decision, against TokenBucketRateLimiter of System.Threading.RateLimiting in the same run.
//
//   dotnet run -c Release --project Tidegate.Benchmarks -- [rounds]
//
// A loop and not BenchmarkDotNet, since what matters most is two threads on one bucket. The variants take turns in
// short rounds, so that a noisy machine disturbs all alike; the least and the median of the rounds are printed, and how
// many counted: those in which every thread had a processor most of the time, and ran beside the other.
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Threading.RateLimiting;
using Tidegate;

const int Calls = 20_000;
// Both buckets: so large, and refilled so fast, that every call is granted.
const int Plenty = 1_000_000_000;
int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 200;

using TidegateRuntime runtime = TidegateRuntime.Open(new TidegateOptions { Storage = "memory" });
TidegateLimiter plenty = runtime.CreateLimiter("plenty", TidegateLimit.TokenBucket(Plenty, TimeSpan.FromSeconds(1)));
TidegateKey key = plenty.GetKey("tenant-1");
TidegateKey dry = runtime.CreateLimiter("dry", TidegateLimit.TokenBucket(1, TimeSpan.FromDays(1))).GetKey("");
dry.TryAcquire();
using TokenBucketRateLimiter theirs = Theirs(Plenty, TimeSpan.FromMilliseconds(100));
using TokenBucketRateLimiter theirsDry = Theirs(1, TimeSpan.FromDays(1));
theirsDry.AttemptAcquire().Dispose();

(string Name, Func<int, int> Loop)[] variants =
[
    ("Tidegate TryAcquire()", calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.TryAcquire() ? 1 : 0; } return n; }),
    ("Tidegate TryAcquire(out)", calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.TryAcquire(1, out _) ? 1 : 0; } return n; }),
    ("Tidegate AcquireAsync", calls => { int n = 0; for (int i = 0; i < calls; i++) { n += key.AcquireAsync(1).Result.IsGranted ? 1 : 0; } return n; }),
    ("TokenBucketRateLimiter", calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = theirs.AttemptAcquire(); n += lease.IsAcquired ? 1 : 0; } return n; }),
    ("denied: Tidegate", calls => { int n = 0; for (int i = 0; i < calls; i++) { n += dry.TryAcquire() ? 0 : 1; } return n; }),
    ("denied: TokenBucketRateL.", calls => { int n = 0; for (int i = 0; i < calls; i++) { using RateLimitLease lease = theirsDry.AttemptAcquire(); n += lease.IsAcquired ? 0 : 1; } return n; }),
];

// Until the compiler has done its best.
for (int i = 0; i < 100; i++)
{
    Array.ForEach(variants, variant => variant.Loop(20_000));
    Thread.Sleep(10);
}

Console.WriteLine($"{"ns per call, least / median",-30}{"1 thread",18}{"2 threads",18}{"B/call",8}");
var results = new Dictionary<(string, int), List<double>>();
for (int round = 0; round < rounds; round++)
{
    foreach ((string name, Func<int, int> loop) in variants)
    {
        foreach (int threads in new[] { 1, 2 })
        {
            if (Round(loop, threads) is { } ns)
            {
                (results.TryGetValue((name, threads), out List<double>? list) ? list : results[(name, threads)] = []).Add(ns);
            }
        }
    }
}
foreach ((string name, Func<int, int> loop) in variants)
{
    long before = GC.GetAllocatedBytesForCurrentThread();
    loop(Calls);
    double bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Calls;
    Console.WriteLine($"{name,-30}{Text(name, 1),18}{Text(name, 2),18}{bytes,8:F0}");
}
Ratio("granted", variants[0].Name, variants[3].Name);
Ratio("denied", variants[4].Name, variants[5].Name);

string Text(string name, int threads) => results.TryGetValue((name, threads), out List<double>? all)
    ? $"{all.Min():F1} / {all.Order().ElementAt(all.Count / 2):F1} ({all.Count})" : "no round";

void Ratio(string what, string ours, string other)
{
    foreach (int threads in new[] { 1, 2 })
    {
        if (results.TryGetValue((ours, threads), out List<double>? a) && results.TryGetValue((other, threads), out List<double>? b))
        {
            double median = a.Order().ElementAt(a.Count / 2) / b.Order().ElementAt(b.Count / 2);
            Console.WriteLine($"{what}, {threads} thread(s): Tidegate takes {a.Min() / b.Min():F2} (least), {median:F2} (median) of TokenBucketRateLimiter's time");
        }
    }
}

// Nanoseconds per call; null when the threads did not run side by side, or not all the time.
double? Round(Func<int, int> loop, int threads)
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
        whole &= loop(Calls) == Calls;
        spans[at] = new(begin, Stopwatch.GetTimestamp(), ThreadClock.Now() - cpu);
    }))];
    Array.ForEach(all, thread => thread.Start());
    Array.ForEach(all, thread => thread.Join());
    if (!whole)
    {
        throw new InvalidOperationException("a call was answered otherwise than its bucket says");
    }
    double together = spans.Min(span => span.End) - spans.Max(span => span.Begin);
    bool clean = spans.All(span => span.CpuNs > 0.7 * span.Wall && together > 0.8 * span.Wall);
    return clean ? spans.Average(span => span.CpuNs) / Calls : null;
}

static TokenBucketRateLimiter Theirs(int permits, TimeSpan period) => new(new TokenBucketRateLimiterOptions
{
    TokenLimit = permits,
    TokensPerPeriod = permits,
    ReplenishmentPeriod = period,
    AutoReplenishment = true,
    QueueLimit = 0,
});

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
