using System.Runtime.InteropServices;
using Tidegate.Native;

namespace Tidegate;

/// <summary>The answer to a request for permits. A value of 24 bytes: the library writes it where you keep it.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct TidegateDecision
{
    // As tidegate_decision_t: HeaderTests compares them.
    private readonly ulong _retryAfterNs;
    private readonly ulong _remaining;
    private readonly int _status;
    private readonly ushort _tier;
    private readonly ushort _basis;

    private TidegateDecision(in TidegateDecision other, TidegateStatus status)
    {
        this = other;
        _status = (int)status;
    }

    /// <summary>Whether the permits were taken: go.</summary>
    public bool IsGranted => _status == (int)TidegateStatus.Ok;

    /// <summary>
    /// <see cref="TidegateStatus.Ok"/>, <see cref="TidegateStatus.Denied"/>, <see cref="TidegateStatus.Never"/>,
    /// <see cref="TidegateStatus.TimedOut"/> or, of a reservation, <see cref="TidegateStatus.Pending"/>.
    /// </summary>
    public TidegateStatus Status => (TidegateStatus)_status;

    /// <summary>
    /// When to come back, from the moment of the decision, rounded up to 100 ns; zero when granted,
    /// <see cref="TimeSpan.MaxValue"/> when it can never be.
    /// </summary>
    public TimeSpan RetryAfter => Interop.Time(_retryAfterNs);

    /// <summary>Whole permits left in this process's share right after; a hint.</summary>
    public long Remaining => Interop.Count(_remaining);

    /// <summary>The index of the tier that decided; <see cref="TidegateLimiter.TierName"/> has its name.</summary>
    public int Tier => _tier;

    /// <summary>What the decision rests on.</summary>
    public TidegateBasis Basis => (TidegateBasis)_basis;

    internal TidegateDecision AsTimedOut() => new(this, TidegateStatus.TimedOut);
}
