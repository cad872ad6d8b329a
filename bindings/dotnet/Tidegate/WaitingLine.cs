using System.Diagnostics;
using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Those who wait in <see cref="TidegateKey.AcquireAsync(long, TimeSpan, CancellationToken)"/>, for any key. Each has a
/// ticket: a place in the library's own line, which keeps the order together with those who block a thread.
/// </summary>
/// <remarks>
/// The library tells nobody that the turn of a ticket has come. So one timer polls them all, in the order in which they were
/// taken: in any other a pass would find mostly those who are not first yet. Whoever leaves makes room for others at once,
/// so a pass goes on with those behind him.
/// </remarks>
internal static class WaitingLine
{
    // All times are ticks of 100 ns.
    private const long Never = long.MaxValue;

    /// <summary>Longest nap between two looks: what the fleet gives to this process may grow meanwhile.</summary>
    private const long LongestNap = TimeSpan.TicksPerSecond;

    /// <summary>The library supposes at least so much for those who are ahead, even where they need less.</summary>
    private const long Supposed = 10 * TimeSpan.TicksPerMillisecond;

    /// <summary>The first nap of one whose turn may have come; each further one is twice as long.</summary>
    private const long FirstNap = 4 * TimeSpan.TicksPerMillisecond;

    private const int DoublingsMax = 8;

    /// <summary>After somebody left, at most so many in a row are looked at in vain, whose time to look has not come.</summary>
    private const int LooksInVain = 32;

    /// <summary>So many times as long as a pass took it is left alone: a long line costs a fifth of a processor at most.</summary>
    private const long Rest = 4;

    private static readonly object Gate = new();
    private static readonly Timer Bell = NewTimer();

    private static Place? _first;
    private static Place? _last;
    private static long _rings = Never;

    /// <summary>Somebody left between two passes.</summary>
    private static bool _hasRoom;

    /// <summary>Whether nobody waits, for any key.</summary>
    internal static bool IsEmpty => Volatile.Read(ref _first) is null;

    /// <summary>Takes permits, or waits in line for them.</summary>
    internal static unsafe ValueTask<TidegateDecision> Join(
        ulong key, ulong permits, TimeSpan timeout, CancellationToken cancellationToken)
    {
        // Made before, so that nothing can fail while a ticket is out.
        Place place = new(permits);
        ulong ticket = 0;
        TidegateDecision made;
        int status;
        lock (Gate)
        {
            // Under the lock: the order here is the one there. The time-out is kept here, since the library refuses at once what
            // it does not expect in time, although others may leave or a share grow. A throttling limit refuses all the same.
            status = NativeMethods.tidegate_key_reserve(key, permits, ulong.MaxValue, &ticket, &made);
            if (status == (int)TidegateStatus.Pending)
            {
                place.Ticket = ticket;
                Enter(place, made.RetryAfter.Ticks, timeout);
            }
        }
        if (status == (int)TidegateStatus.Pending)
        {
            place.Watch(cancellationToken);
            return new(place.Task);
        }
        if (status == (int)TidegateStatus.Ok)
        {
            _ = NativeMethods.tidegate_ticket_settle(ticket, permits);
        }
        return status >= 0 ? new(made) : ValueTask.FromException<TidegateDecision>(TidegateException.Of(status));
    }

    private static void Enter(Place place, long expectedIn, TimeSpan timeout)
    {
        long now = Now();
        place.MayBeNext = After(now, Math.Max(expectedIn - Supposed, 0));
        place.Deadline = timeout == Timeout.InfiniteTimeSpan ? Never : After(now, timeout.Ticks);
        place.Sleep(now, expectedIn);
        place.Previous = _last;
        if (_last is null)
        {
            Volatile.Write(ref _first, place);
        }
        else
        {
            _last.Next = place;
        }
        _last = place;
        RingAt(place.Due, now);
    }

    /// <summary>False for one who left before.</summary>
    private static bool Leave(Place place)
    {
        if (place.Ticket == 0)
        {
            return false;
        }
        place.Ticket = 0;
        (place.Previous is null ? ref _first : ref place.Previous.Next) = place.Next;
        (place.Next is null ? ref _last : ref place.Next.Previous) = place.Previous;
        place.Registration.Unregister();
        return true;
    }

    private static void Pass()
    {
        lock (Gate)
        {
            long now = Now();
            long next = Never;
            (bool hasRoom, _hasRoom) = (_hasRoom, false);
            int vain = 0;
            for (Place? at = _first; at is not null; at = at.Next)
            {
                bool isDue = at.Due <= now;
                bool mayBeNext = hasRoom && vain < LooksInVain;
                if ((isDue || mayBeNext) && Serve(at, now))
                {
                    (hasRoom, vain) = (true, 0);
                    continue;
                }
                vain += isDue ? 0 : 1;
                next = Math.Min(next, at.Due);
            }
            _rings = Never;
            long end = Now();
            RingAt(next == Never ? Never : Math.Max(next, end + (Rest * (end - now))), end);
        }
    }

    /// <summary>Whether it left: served, too late, or for good.</summary>
    private static unsafe bool Serve(Place place, long now)
    {
        ulong ticket = place.Ticket;
        TidegateDecision made;
        int status = NativeMethods.tidegate_ticket_poll(ticket, &made);
        bool isPending = status == (int)TidegateStatus.Pending;
        if (isPending && now < place.Deadline)
        {
            place.Sleep(now, made.RetryAfter.Ticks);
            return false;
        }
        Leave(place);
        if (status < 0)
        {
            return place.TrySetException(TidegateException.Of(status));
        }
        if (isPending)
        {
            _ = NativeMethods.tidegate_ticket_cancel(ticket);
        }
        else if (status == (int)TidegateStatus.Ok)
        {
            // What was waited for is spent: nothing comes back.
            _ = NativeMethods.tidegate_ticket_settle(ticket, place.Permits);
        }
        return place.TrySetResult(isPending ? made.AsTimedOut() : made);
    }

    private static void Cancel(Place place, CancellationToken token)
    {
        lock (Gate)
        {
            ulong ticket = place.Ticket;
            if (!Leave(place))
            {
                return;
            }
            _ = NativeMethods.tidegate_ticket_cancel(ticket);
            _hasRoom = true;
            long now = Now();
            RingAt(now, now);
        }
        place.TrySetCanceled(token);
    }

    private static void RingAt(long time, long now)
    {
        if (time < _rings)
        {
            _rings = time;
            // Rounded up: who comes too early comes twice.
            Bell.Change((Math.Max(time - now, 0) + TimeSpan.TicksPerMillisecond - 1) / TimeSpan.TicksPerMillisecond, Timeout.Infinite);
        }
    }

    private static Timer NewTimer()
    {
        // It outlives whoever comes first: it must not keep what flows with his calls.
        using (ExecutionContext.IsFlowSuppressed() ? default : ExecutionContext.SuppressFlow())
        {
            return new(static _ => Pass(), null, Timeout.Infinite, Timeout.Infinite);
        }
    }

    private static long Now() => Stopwatch.GetElapsedTime(0).Ticks;

    private static long After(long now, long span) => span > Never - now ? Never : now + span;

    /// <summary>One who waits. Its task is completed under the lock, but what follows it runs elsewhere.</summary>
    private sealed class Place(ulong permits)
        : TaskCompletionSource<TidegateDecision>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        internal readonly ulong Permits = permits;
        // 0 once it left.
        internal ulong Ticket;
        internal long Deadline;
        // When its turn may come, as the library said first; when to look, and how often that was in vain since then.
        internal long MayBeNext;
        internal long Due;
        private int _inVain;
        internal Place? Previous;
        internal Place? Next;
        internal CancellationTokenRegistration Registration;

        /// <summary>
        /// Until its turn should come. The library knows when exactly of the first of a line alone: of the others it supposes
        /// that all must be served before, also those who stand behind.
        /// </summary>
        internal void Sleep(long now, long expectedIn)
        {
            long nap = Math.Min(expectedIn, LongestNap);
            if (now < MayBeNext)
            {
                nap = Math.Min(nap, MayBeNext - now);
            }
            else
            {
                nap = Math.Min(nap, FirstNap << _inVain);
                _inVain = Math.Min(_inVain + 1, DoublingsMax);
            }
            Due = Math.Min(Deadline, now + nap);
        }

        internal void Watch(CancellationToken token)
        {
            CancellationTokenRegistration registration =
                token.UnsafeRegister(static (place, token) => Cancel((Place)place!, token), this);
            lock (Gate)
            {
                Registration = registration;
                if (Ticket == 0)
                {
                    registration.Unregister();
                }
            }
        }
    }
}
