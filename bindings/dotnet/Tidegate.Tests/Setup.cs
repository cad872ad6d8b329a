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
