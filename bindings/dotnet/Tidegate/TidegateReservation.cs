using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Permits that are held, or a place in line for them: what <see cref="TidegateKey.Reserve"/> made. Copies are the same
/// reservation. End it with <see cref="Settle"/> or <see cref="Cancel"/>: what it holds counts against the burst until then.
/// </summary>
public readonly record struct TidegateReservation
{
    internal TidegateReservation(ulong ticket, TidegateDecision decision) => (Ticket, Decision) = (ticket, decision);

    /// <summary>Its number in the C ABI; 0 where nothing is held and nobody stands in line.</summary>
    public ulong Ticket { get; }

    /// <summary>The answer when it was made: granted, pending with the time to poll, or why there is nothing.</summary>
    public TidegateDecision Decision { get; }

    /// <summary>
    /// Whether it is its turn now: granted, once; pending, with the time to poll again; or timed out, which ends it.
    /// </summary>
    /// <exception cref="TidegateException">It was granted before or ended, or its key did.</exception>
    public unsafe TidegateDecision Poll()
    {
        TidegateDecision made;
        Check(NativeMethods.tidegate_ticket_poll(Ticket, &made));
        return made;
    }

    /// <summary>Ends it and gives everything back: its place in line, or what it holds.</summary>
    /// <exception cref="TidegateException">It is ended already.</exception>
    public void Cancel() => Check(NativeMethods.tidegate_ticket_cancel(Ticket));

    /// <summary>
    /// Ends it: <paramref name="used"/> were used. What is left comes back at once, what is beyond is owed and comes off
    /// what refills next.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="TidegateException">It is pending, or ended already.</exception>
    public void Settle(long used)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(used);
        Check(NativeMethods.tidegate_ticket_settle(Ticket, (ulong)used));
    }

    private static void Check(int status)
    {
        if (status == (int)TidegateStatus.Argument)
        {
            throw TidegateException.Pending();
        }
        Interop.Check(status);
    }
}
