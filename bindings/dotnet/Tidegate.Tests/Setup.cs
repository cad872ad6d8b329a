using System.Reflection;

// Some tests measure time or this process's threads: they get the machine for themselves.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Tidegate.Tests;

/// <summary>What most tests begin with.</summary>
internal static class Setup
{
    private static int _opened;

    /// <summary>The source checkout.</summary>
    internal static string Root { get; } = typeof(Setup).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(metadata => metadata.Key == "TidegateRoot").Value!;

    /// <summary>A local runtime of its own: equal properties would share one.</summary>
    internal static TidegateOptions Options() => new()
    {
        Storage = "memory",
        ["client.note"] = $"test {Interlocked.Increment(ref _opened)}",
    };

    internal static TidegateRuntime Open() => TidegateRuntime.Open(Options());

    /// <summary>So slow that nothing comes back while a test runs.</summary>
    internal static TidegateLimit Still(long burst) => TidegateLimit.TokenBucket(1, TimeSpan.FromDays(1), burst);

    internal static TidegateLimit PerSecond(long permits, long burst) =>
        TidegateLimit.TokenBucket(permits, TimeSpan.FromSeconds(1), burst);

    internal static TidegateStatus Fails(Action act) => Assert.Throws<TidegateException>(act).Status;

    /// <summary>Waits for something that comes soon; fails when it does not.</summary>
    internal static void Until(Func<bool> isTrue, string what)
    {
        Assert.True(SpinWait.SpinUntil(isTrue, TimeSpan.FromSeconds(30)), $"did not happen in 30 s: {what}");
    }
}

/// <summary>Tests whose time stands still until they advance it.</summary>
public abstract class StoppedTests : IDisposable
{
    private protected TidegateManualClock Clock { get; } = new();

    private protected TidegateRuntime Runtime { get; }

    private protected StoppedTests() => Runtime = TidegateRuntime.Open(Setup.Options(), Clock);

    public void Dispose()
    {
        Runtime.Dispose();
        Clock.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected TidegateLimiter Limiter(TidegateLimit limit) => Runtime.CreateLimiter("test", limit);

    private protected void Advance(double seconds) => Clock.Advance(TimeSpan.FromSeconds(seconds));

    /// <summary>Takes all there is, one by one.</summary>
    private protected static int Drain(TidegateKey key)
    {
        int taken = 0;
        while (key.TryAcquire())
        {
            taken++;
        }
        return taken;
    }

    /// <summary>What happened until now.</summary>
    private protected List<TidegateEventKind> Events()
    {
        List<TidegateEventKind> kinds = [];
        while (Runtime.NextEvent(TimeSpan.Zero) is { } happened)
        {
            kinds.Add(happened.Kind);
        }
        return kinds;
    }
}

/// <summary>A test that needs a library with the Kafka storage; it needs no broker.</summary>
internal sealed class KafkaFactAttribute : FactAttribute
{
    public KafkaFactAttribute()
    {
        if (!TidegateLibrary.Features.HasFlag(TidegateFeatures.Kafka))
        {
            Skip = "this libtidegate was built without the feature kafka";
        }
    }
}
