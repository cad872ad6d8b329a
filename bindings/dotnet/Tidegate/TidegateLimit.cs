using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// A limit: the numbers of the whole fleet, not of this process, and what happens where they are reached. The library
/// judges them when a limiter is made. Two of equal numbers are equal.
/// </summary>
public readonly record struct TidegateLimit
{
    private TidegateLimit(TidegateLimitKind kind, long permits, TimeSpan period, long burst, TidegateOutage onOutage)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        ArgumentOutOfRangeException.ThrowIfLessThan(period, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegative(burst);
        (Kind, Permits, Period, Burst, OnOutage) = (kind, permits, period, burst, onOutage);
    }

    /// <summary>How it counts.</summary>
    public TidegateLimitKind Kind { get; }

    /// <summary>Permits let through per <see cref="Period"/>.</summary>
    public long Permits { get; }

    /// <summary>The period, in steps of 100 ns.</summary>
    public TimeSpan Period { get; }

    /// <summary>Most permits at once; 0 = as many as <see cref="Permits"/>, of a sliding window a tenth of them.</summary>
    public long Burst { get; }

    /// <summary>What happens when the log is away.</summary>
    public TidegateOutage OnOutage { get; private init; }

    /// <summary>Whether it is kept: <see cref="InShadow"/> changes it.</summary>
    public TidegateMode Mode { get; private init; }

    /// <summary>What it does where it is reached: <see cref="Enforced"/> changes it.</summary>
    public TidegateEnforcement Enforcement { get; private init; }

    /// <summary>
    /// A token bucket: <paramref name="permits"/> per <paramref name="period"/> on average, at most a burst at once. A
    /// window of one period may see both.
    /// </summary>
    /// <param name="permits">Permits let through per period; at least 1.</param>
    /// <param name="period">The period; more than zero.</param>
    /// <param name="burst">Most permits at once; 0 = as many as <paramref name="permits"/>.</param>
    /// <param name="onOutage">What happens when the log is away.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number or the period is negative.</exception>
    public static TidegateLimit TokenBucket(
        long permits, TimeSpan period, long burst = 0, TidegateOutage onOutage = TidegateOutage.Default) =>
        new(TidegateLimitKind.TokenBucket, permits, period, burst, onOutage);

    /// <summary>
    /// A sliding window: at most <paramref name="permits"/> in any <paramref name="period"/>, wherever it begins. Without
    /// other processes all of them may come at once; shared ones keep it by a token bucket of <paramref name="burst"/> that
    /// refills permits - burst + 1 per period.
    /// </summary>
    /// <param name="permits">Most permits in a period; at least 1.</param>
    /// <param name="period">The period; more than zero.</param>
    /// <param name="burst">Most permits at once where it is shared; 0 = a tenth of <paramref name="permits"/>.</param>
    /// <param name="onOutage">What happens when the log is away.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number or the period is negative.</exception>
    public static TidegateLimit SlidingWindow(
        long permits, TimeSpan period, long burst = 0, TidegateOutage onOutage = TidegateOutage.Default) =>
        new(TidegateLimitKind.SlidingWindow, permits, period, burst, onOutage);

    /// <summary>The same limit, enforced as said.</summary>
    public TidegateLimit Enforced(TidegateEnforcement enforcement) => this with { Enforcement = enforcement };

    /// <summary>
    /// The same limit in shadow mode: it decides and counts, and refuses nothing. What it would have refused is granted
    /// with <see cref="TidegateBasis.Shadow"/>, and counted in <see cref="TidegateMetrics.PermitsShadowed"/>.
    /// </summary>
    public TidegateLimit InShadow() => this with { Mode = TidegateMode.Shadow };

    /// <summary>These numbers with what <paramref name="other"/> does in an outage and where it is reached.</summary>
    internal TidegateLimit As(TidegateLimit other) =>
        this with { OnOutage = other.OnOutage, Mode = other.Mode, Enforcement = other.Enforcement };

    internal unsafe NativeLimit ToNative() => new()
    {
        StructSize = (uint)sizeof(NativeLimit),
        Kind = (uint)Kind,
        Permits = (ulong)Permits,
        PeriodNs = Interop.Nanoseconds(Period, nameof(Period)),
        Burst = (ulong)Burst,
        OnOutage = (uint)OnOutage,
        Mode = (uint)Mode,
        Enforcement = (uint)Enforcement.Kind,
        BreakerThreshold = (uint)Enforcement.Threshold,
        MaxWaitNs = Interop.TimeoutNs(Enforcement.MaxWait, nameof(Enforcement.MaxWait)),
        OpenForNs = Interop.Nanoseconds(Enforcement.OpenFor, nameof(Enforcement.OpenFor)),
    };
}
