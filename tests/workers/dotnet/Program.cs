// The worker of ../README.md in C#.
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Tidegate;
using Tidegate.Worker;

const ulong RefusedNapNs = 200_000;
// A grant that took longer is counted as one that waited.
const ulong WaitedNs = 1_000_000;
long granted = 0, denied = 0, waited = 0;
int basis = (int)TidegateBasis.NoShare;
TidegateBasis[] bases = Enum.GetValues<TidegateBasis>();
long[] deniedBy = new long[bases.Length];

try
{
    Arguments arguments = Arguments.Parse(args);
    using CancellationTokenSource stop = new();
    using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
    {
        context.Cancel = true;
        stop.Cancel();
    });
    using TidegateRuntime runtime = TidegateRuntime.Open(arguments.Options);
    TidegateLimiter limiter = runtime.CreateLimiter(arguments.Limiter, arguments.Limit);
    TidegateKey key = limiter.GetKey(arguments.Key);
    using Recorder recorder = new(arguments.Out);
    Say("""{"event": "ready"}""");

    Exception? failure = null;
    Thread work = new(() =>
    {
        try
        {
            Work(arguments, key, recorder, stop.Token);
        }
        catch (Exception why)
        {
            failure = why;
            stop.Cancel();
        }
    });
    Stopwatch clock = Stopwatch.StartNew();
    work.Start();
    TimeSpan end = arguments.Seconds > 0 ? TimeSpan.FromSeconds(arguments.Seconds) : TimeSpan.MaxValue;
    TimeSpan tick = TimeSpan.FromMilliseconds(250);
    for (TimeSpan next = tick; !stop.IsCancellationRequested; next += tick)
    {
        TimeSpan nap = (next < end ? next : end) - clock.Elapsed;
        stop.Token.WaitHandle.WaitOne(nap > TimeSpan.Zero ? nap : TimeSpan.Zero);
        if (clock.Elapsed >= end)
        {
            stop.Cancel();
        }
        else if (!stop.IsCancellationRequested)
        {
            Say(Tick(runtime, key));
        }
    }
    work.Join();
    if (failure is not null)
    {
        throw failure;
    }
    recorder.Dispose();
    long sent = runtime.Metrics().RecordsSent;
    await runtime.CloseAsync(TimeSpan.FromSeconds(5));
    Say($$"""{"event": "done", "granted": {{granted}}, "denied": {{denied}}, "records_sent": {{sent}}}""");
    return 0;
}
catch (Exception why)
{
    Say($$"""{"event": "error", "message": {{JsonSerializer.Serialize(why.Message)}}}""");
    return 1;
}

void Work(Arguments arguments, TidegateKey key, Recorder recorder, CancellationToken stop)
{
    TimeSpan second = TimeSpan.FromSeconds(1);
    ulong gap = arguments.Pace > 0 ? 1_000_000_000 / arguments.Pace : 0;
    ulong due = Libc.BootTimeNs();
    while (!stop.IsCancellationRequested)
    {
        ulong before = Libc.BootTimeNs();
        if (before < due)
        {
            Libc.Nap(due - before);
            continue;
        }
        // A pause that came late is not made up for: at most N tries in any second.
        due = before + gap;
        TidegateDecision decision;
        if (arguments.Waits)
        {
            decision = key.Acquire(1, second);
        }
        else
        {
            key.TryAcquire(1, out decision);
        }
        ulong after = Libc.BootTimeNs();
        Volatile.Write(ref basis, (int)decision.Basis);
        if (decision.IsGranted)
        {
            recorder.Add(before, after, 1);
            Interlocked.Increment(ref granted);
            if (arguments.Waits && after - before > WaitedNs)
            {
                Interlocked.Increment(ref waited);
            }
        }
        else
        {
            Interlocked.Increment(ref denied);
            Interlocked.Increment(ref deniedBy[Array.IndexOf(bases, decision.Basis)]);
            if (!arguments.Waits)
            {
                Libc.Nap(RefusedNapNs);
            }
        }
    }
}

string Tick(TidegateRuntime runtime, TidegateKey key)
{
    TidegateKeyStatus status = key.Status();
    string rate = status.ShareRatePerSecond.ToString(CultureInfo.InvariantCulture);
    IEnumerable<string> causes = bases.Select(
        (one, at) => $"\"{Words(one)}\": {Interlocked.Read(ref deniedBy[at])}");
    return $$"""
        {"event": "tick", "granted": {{Interlocked.Read(ref granted)}}, "denied": {{Interlocked.Read(ref denied)}},
        "waited": {{Interlocked.Read(ref waited)}}, "share_rate": {{rate}}, "share_burst": {{status.ShareBurst}},
        "processes": {{status.Processes}}, "basis": "{{Words((TidegateBasis)Volatile.Read(ref basis))}}",
        "health": "{{Words(runtime.Health.State)}}", "denied_by": { {{string.Join(", ", causes)}} } }
        """.ReplaceLineEndings(" ");
}

// KeptShare is kept_share, as in C.
string Words(Enum value) => string.Concat(value.ToString().Select(
    (letter, at) => at > 0 && char.IsUpper(letter) ? $"_{letter}" : $"{letter}")).ToLowerInvariant();

void Say(string line)
{
    Console.Out.WriteLine(line);
    Console.Out.Flush();
}
