using Tidegate.Native;

namespace Tidegate;

/// <summary>A limit: the numbers of the whole fleet, not of this process. The library judges them when a limiter is made.</summary>
public readonly record struct TidegateLimit
{
    private TidegateLimit(TidegateLimitKind kind, long permits, TimeSpan period, long burst, TidegateOutage onOutage)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        ArgumentOutOfRangeException.ThrowIfLessThan(period, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegative(burst);
        (Kind, Permits, Period, Burst, OnOutage) = (kind, permits, period, burst, onOutage);
    }

    /// <summary>What kind of limit it is.</summary>
    public TidegateLimitKind Kind { get; }

    /// <summary>Permits let through per <see cref="Period"/>.</summary>
    public long Permits { get; }

    /// <summary>The period, in steps of 100 ns.</summary>
    public TimeSpan Period { get; }

    /// <summary>Most permits at once; 0 = as many as <see cref="Permits"/>.</summary>
    public long Burst { get; }

    /// <summary>What happens when the log is away.</summary>
    public TidegateOutage OnOutage { get; }

    /// <summary>A token bucket: <paramref name="permits"/> per <paramref name="period"/>, at most a burst at once.</summary>
    /// <param name="permits">Permits let through per period; at least 1.</param>
    /// <param name="period">The period; more than zero.</param>
    /// <param name="burst">Most permits at once; 0 = as many as <paramref name="permits"/>.</param>
    /// <param name="onOutage">What happens when the log is away.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number or the period is negative.</exception>
    public static TidegateLimit TokenBucket(
        long permits, TimeSpan period, long burst = 0, TidegateOutage onOutage = TidegateOutage.Default) =>
        new(TidegateLimitKind.TokenBucket, permits, period, burst, onOutage);

    internal unsafe NativeLimit ToNative() => new()
    {
        StructSize = (uint)sizeof(NativeLimit),
        Kind = (uint)Kind,
        Permits = (ulong)Permits,
        PeriodNs = Interop.Nanoseconds(Period, nameof(Period)),
        Burst = (ulong)Burst,
        OnOutage = (uint)OnOutage,
    };
}
