using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// A key of a limiter: the bucket of one tenant, user or topic. It holds a 64-bit id and nothing else: copy it freely
/// and use it from any thread. One that is out of date, or the default value, makes every call throw
/// <see cref="TidegateException"/> with <see cref="TidegateStatus.Stale"/>, and harms nobody.
/// </summary>
/// <remarks>
/// An ordinary no is a value; a failure is a <see cref="TidegateException"/>. Resolve a key once with
/// <see cref="TidegateLimiter.GetKey(string)"/>, keep it, and decide with it.
/// </remarks>
public readonly record struct TidegateKey
{
    internal TidegateKey(ulong id) => Id = id;

    /// <summary>Its id in the C ABI.</summary>
    public ulong Id { get; }

    /// <summary>Takes <paramref name="permits"/> now or not at all. Never waits, allocates nothing: some nanoseconds.</summary>
    /// <returns>Whether they were taken.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="TidegateException">0 permits, a key that is out of date, or a defect.</exception>
    public unsafe bool TryAcquire(long permits = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        int status = NativeMethods.tidegate_key_try_acquire(Id, (ulong)permits, null);
        return status <= 0 ? status == 0 || Interop.Fail(status) : false;
    }

    /// <summary>The same, with the reason and the time to come back.</summary>
    /// <inheritdoc cref="TryAcquire(long)"/>
    public unsafe bool TryAcquire(long permits, out TidegateDecision decision)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        TidegateDecision made;
        int status = NativeMethods.tidegate_key_try_acquire(Id, (ulong)permits, &made);
        decision = made;
        return status <= 0 ? status == 0 || Interop.Fail(status) : false;
    }

    /// <summary>
    /// Takes <paramref name="permits"/>, blocking this thread until they come, behind those who came earlier. While
    /// somebody waits here, nobody overtakes with <see cref="TryAcquire(long)"/>.
    /// </summary>
    /// <param name="permits">How many; at least 1.</param>
    /// <param name="timeout">Longest wait; <see cref="Timeout.InfiniteTimeSpan"/> = a year.</param>
    /// <returns>
    /// Granted, never, timed out, or denied: when the time-out is zero, a circuit breaker is open, or a limit that throttles
    /// would have to delay for longer than it may. Without a grant nothing was taken.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative number or time.</exception>
    /// <exception cref="TidegateException">
    /// 0 permits, a key that is out of date, one whose runtime is closed meanwhile, or 65,536 wait already.
    /// </exception>
    public unsafe TidegateDecision Acquire(long permits, TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        TidegateDecision made;
        ulong most = Interop.TimeoutNs(timeout, nameof(timeout));
        Interop.Check(NativeMethods.tidegate_key_acquire(Id, (ulong)permits, most, &made));
        return made;
    }

    /// <summary>
    /// Takes <paramref name="permits"/>, waiting for them without a thread, behind those who came earlier, also in
    /// <see cref="Acquire"/>. Completes at once, and allocates nothing, when they are there.
    /// </summary>
    /// <param name="permits">How many; at least 1.</param>
    /// <param name="timeout">Longest wait; <see cref="Timeout.InfiniteTimeSpan"/> = without end.</param>
    /// <param name="cancellationToken">Ends the wait; nothing was taken then.</param>
    /// <returns>
    /// Granted, never, timed out, or denied: when the time-out is zero, a circuit breaker is open, or a limit that throttles
    /// would have to delay for longer than it may. Without a grant nothing was taken.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative number or time.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled before the permits came.</exception>
    /// <exception cref="TidegateException">
    /// 0 permits, a key that is out of date, or 65,536 wait for it already, or a million for any.
    /// </exception>
    /// <remarks>
    /// .NET's timers are some milliseconds coarse, so one loop of single permits keeps up with a rate only if the burst holds
    /// about 10 ms of it. A program that does not come to look for a tenth of a second may be passed by others.
    /// </remarks>
    public unsafe ValueTask<TidegateDecision> AcquireAsync(
        long permits, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        Interop.CheckTimeout(timeout, nameof(timeout));
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<TidegateDecision>(cancellationToken);
        }
        if (timeout == TimeSpan.Zero || !RefusalCounts || MayBeGranted(permits))
        {
            TidegateDecision made;
            int status = NativeMethods.tidegate_key_try_acquire(Id, (ulong)permits, &made);
            if (status < 0)
            {
                return ValueTask.FromException<TidegateDecision>(TidegateException.Of(status));
            }
            // An open breaker refuses everybody unasked, also in the library's own line.
            if (timeout == TimeSpan.Zero || made is not { Status: TidegateStatus.Denied, Basis: not TidegateBasis.Breaker })
            {
                return new(made);
            }
        }
        return WaitingLine.Join(Id, (ulong)permits, timeout, cancellationToken);
    }

    /// <inheritdoc cref="AcquireAsync(long, TimeSpan, CancellationToken)"/>
    public ValueTask<TidegateDecision> AcquireAsync(long permits = 1, CancellationToken cancellationToken = default) =>
        AcquireAsync(permits, Timeout.InfiniteTimeSpan, cancellationToken);

    /// <summary>
    /// Takes <paramref name="permits"/> to be settled or cancelled later, or a place in line for them if they can be
    /// expected within <paramref name="maxWait"/>. No thread waits: poll when the decision says.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A negative number or time.</exception>
    /// <exception cref="TidegateException">0 permits, a key that is out of date, or too many reservations.</exception>
    public unsafe TidegateReservation Reserve(long permits, TimeSpan maxWait)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        ulong ticket = 0;
        TidegateDecision made;
        ulong most = Interop.TimeoutNs(maxWait, nameof(maxWait));
        Interop.Check(NativeMethods.tidegate_key_reserve(Id, (ulong)permits, most, &ticket, &made));
        return new(ticket, made);
    }

    /// <summary>
    /// One permit of each key, each decided by itself, in one call; a failure is in its decision and throws nothing.
    /// </summary>
    /// <exception cref="ArgumentException">Fewer decisions than keys.</exception>
    public static unsafe void TryAcquire(ReadOnlySpan<TidegateKey> keys, Span<TidegateDecision> decisions)
    {
        if (decisions.Length < keys.Length)
        {
            throw new ArgumentException($"{keys.Length} keys need as many decisions, not {decisions.Length}", nameof(decisions));
        }
        fixed (TidegateKey* first = keys)
        fixed (TidegateDecision* made = decisions)
        {
            // A key is its id and nothing else.
            Interop.Check(NativeMethods.tidegate_keys_try_acquire((ulong*)first, null, (uint)keys.Length, made));
        }
    }

    /// <summary>What <see cref="TryAcquire(long)"/> of one permit would find, without taking it.</summary>
    /// <exception cref="TidegateException">The key is out of date.</exception>
    public unsafe TidegateDecision Peek()
    {
        TidegateDecision found;
        Interop.Check(NativeMethods.tidegate_key_peek(Id, &found));
        return found;
    }

    /// <summary>The key as this process sees it. May block for half a second: not for the hot path.</summary>
    /// <exception cref="TidegateException">The key is out of date.</exception>
    public unsafe TidegateKeyStatus Status()
    {
        NativeKeyStatus found = new() { StructSize = (uint)sizeof(NativeKeyStatus) };
        Interop.Check(NativeMethods.tidegate_key_status(Id, &found));
        return new(found);
    }

    /// <summary>
    /// Gives the key back once; do it as often as you asked for it. After the last time its share returns to the fleet
    /// and every copy is out of date. Keys that are never given back end with their runtime.
    /// </summary>
    /// <exception cref="TidegateException">It was given back already.</exception>
    public void Release() => Interop.Check(NativeMethods.tidegate_key_release(Id));

    /// <summary>
    /// Whether a refusal before a place in line is to be avoided, which the library takes for two requests: where a breaker
    /// may count them, and where others wait, so that it is likely. To look first costs as much as ten decisions.
    /// </summary>
    private static bool RefusalCounts => TidegateEnforcement.IsBreakerInUse || !WaitingLine.IsEmpty;

    /// <summary>Whether permits are there now, or what to answer is known without waiting.</summary>
    private unsafe bool MayBeGranted(long permits)
    {
        TidegateDecision found;
        int status = NativeMethods.tidegate_key_peek(Id, &found);
        return status == (int)TidegateStatus.Ok
            ? permits <= found.Remaining || found.Basis is TidegateBasis.Allowed or TidegateBasis.Shadow
            : status != (int)TidegateStatus.Denied;
    }
}
