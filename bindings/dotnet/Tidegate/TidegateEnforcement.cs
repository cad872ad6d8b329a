using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// What a limit does where it is reached; the default value is <see cref="HardLimit"/>. The library judges the numbers
/// when a limiter is made. More: docs/enforcement.md.
/// </summary>
public readonly record struct TidegateEnforcement
{
    private static volatile bool _isBreakerInUse;

    /// <summary>Whether this process ever made a <see cref="CircuitBreaker"/>.</summary>
    internal static bool IsBreakerInUse => _isBreakerInUse;

    /// <summary>Refuses: what a limit does unless it is told otherwise.</summary>
    public static TidegateEnforcement HardLimit => default;

    /// <summary>
    /// Refuses, and tells <see cref="TidegateRuntime.NextEvent"/> when that begins and when half of the burst is there again.
    /// </summary>
    public static TidegateEnforcement Backpressure => new() { Kind = TidegateEnforcementKind.Backpressure };

    /// <summary>Which of the four it is.</summary>
    public TidegateEnforcementKind Kind { get; private init; }

    /// <summary>The longest delay of <see cref="Throttling"/>; zero elsewhere.</summary>
    public TimeSpan MaxWait { get; private init; }

    /// <summary>Refusals in a row that open a <see cref="CircuitBreaker"/>; 0 elsewhere.</summary>
    public int Threshold { get; private init; }

    /// <summary>How long a <see cref="CircuitBreaker"/> stays open; zero elsewhere.</summary>
    public TimeSpan OpenFor { get; private init; }

    /// <summary>
    /// Delays: <see cref="TidegateKey.Acquire"/>, <see cref="TidegateKey.Reserve"/> and
    /// <see cref="TidegateKey.AcquireAsync(long, TimeSpan, CancellationToken)"/> wait at most <paramref name="maxWait"/>, and
    /// refuse at once what takes longer.
    /// </summary>
    /// <param name="maxWait">The longest delay; <see cref="Timeout.InfiniteTimeSpan"/> = any.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative time.</exception>
    public static TidegateEnforcement Throttling(TimeSpan maxWait)
    {
        Interop.CheckTimeout(maxWait, nameof(maxWait));
        return new() { Kind = TidegateEnforcementKind.Throttling, MaxWait = maxWait };
    }

    /// <summary>
    /// Refuses; after <paramref name="threshold"/> refusals in a row it is open, and refuses everybody unasked with
    /// <see cref="TidegateBasis.Breaker"/>. After <paramref name="openFor"/> one request goes through as a probe: granted,
    /// it closes; refused, it stays open for as long again.
    /// </summary>
    /// <param name="threshold">Refusals in a row; at least 1.</param>
    /// <param name="openFor">More than zero.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number or time.</exception>
    public static TidegateEnforcement CircuitBreaker(int threshold, TimeSpan openFor)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threshold);
        ArgumentOutOfRangeException.ThrowIfLessThan(openFor, TimeSpan.Zero);
        _isBreakerInUse = true;
        return new() { Kind = TidegateEnforcementKind.CircuitBreaker, Threshold = threshold, OpenFor = openFor };
    }
}
