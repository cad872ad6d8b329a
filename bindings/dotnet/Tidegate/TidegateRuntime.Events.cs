using System.Diagnostics;
using System.Runtime.CompilerServices;
using Tidegate.Native;

namespace Tidegate;

// What the limits of a runtime have to say beyond their decisions. Events are pulled: nothing calls back into the program.
public sealed partial class TidegateRuntime
{
    /// <summary>Calls that are in the library, or about to be: closing wakes them first.</summary>
    private int _listening;

    /// <summary>How often <see cref="EventsAsync"/> looks: a person or a consumer that is paused notices no difference.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// The next event of the runtime's limits, waited for up to <paramref name="timeout"/>; null when none came. Blocks this
    /// thread only. Each event is given out once, to whoever asks first; of those that nobody takes the newest 4096 are
    /// kept. Pressure ends while somebody waits here, or with the next grant: a source that pauses under pressure should wait
    /// here for its end.
    /// </summary>
    /// <param name="timeout">Longest wait; <see cref="Timeout.InfiniteTimeSpan"/> = without end.</param>
    /// <param name="cancellationToken">Ends the wait; an event that came first is returned all the same.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative time.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The runtime was closed, before or meanwhile.</exception>
    public TidegateEvent? NextEvent(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        Interop.CheckTimeout(timeout, nameof(timeout));
        if (timeout == TimeSpan.Zero)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosed();
            return TakeEvent(timeout);
        }
        return WaitForEvent(timeout, cancellationToken);
    }

    /// <summary>The events of the runtime's limits as they come; ends when the runtime is closed.</summary>
    /// <param name="cancellationToken">Ends it; no event is lost.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <remarks>
    /// It looks 50 times a second, from a timer, and never waits inside of the library: no thread is held, closing waits for
    /// nobody, and an event cannot be taken and then lost to a cancellation. Where 20 ms are too long, call
    /// <see cref="NextEvent"/> on a thread of your own.
    /// </remarks>
    public async IAsyncEnumerable<TidegateEvent> EventsAsync(
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using PeriodicTimer timer = new(LookAgain);
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (TakeEventUnlessClosed() is { } happened)
            {
                yield return happened;
            }
            else if (_handle.IsClosed || !await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                yield break;
            }
        }
    }

    private TidegateEvent? TakeEventUnlessClosed()
    {
        try
        {
            return TakeEvent(TimeSpan.Zero);
        }
        catch (ObjectDisposedException)
        {
            return null;
        }
    }

    private TidegateEvent? WaitForEvent(TimeSpan timeout, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        TimeSpan left = timeout;
        StrongBox<int> inside = new();
        using CancellationTokenRegistration registration =
            cancellationToken.UnsafeRegister(_ => WakeWhile(ref inside.Value), null);
        TidegateEvent? happened;
        do
        {
            happened = WaitInside(left, inside, cancellationToken);
            // Woken for the sake of another, it waits on.
            left = timeout == Timeout.InfiniteTimeSpan ? timeout : timeout - Stopwatch.GetElapsedTime(start);
        }
        while (happened is null && (left > TimeSpan.Zero || left == Timeout.InfiniteTimeSpan));
        return happened;
    }

    /// <summary>
    /// One wait in the library. Whoever ends it does two things: he says so, and wakes those who are inside. Here one is first
    /// inside and then asks whether it was said: one of both sees the other.
    /// </summary>
    private TidegateEvent? WaitInside(TimeSpan timeout, StrongBox<int> inside, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _listening);
        Interlocked.Exchange(ref inside.Value, 1);
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            ObjectDisposedException.ThrowIf(_isClosing, this);
            return TakeEvent(timeout);
        }
        finally
        {
            Volatile.Write(ref inside.Value, 0);
            Interlocked.Decrement(ref _listening);
        }
    }

    /// <summary>
    /// Wakes who waits for events until those have left that are counted: another may take a wake that comes a moment before
    /// the wait.
    /// </summary>
    private void WakeWhile(ref int inside)
    {
        SpinWait spin = default;
        try
        {
            while (Volatile.Read(ref inside) > 0 && NativeMethods.tidegate_runtime_wake(_handle) >= 0)
            {
                spin.SpinOnce();
            }
        }
        catch (ObjectDisposedException)
        {
            // Closed by another thread, which wakes them all.
        }
    }

    private unsafe TidegateEvent? TakeEvent(TimeSpan timeout)
    {
        nint happened = 0;
        nint error = 0;
        ulong most = Interop.TimeoutNs(timeout, nameof(timeout));
        int status = NativeMethods.tidegate_runtime_next_event(_handle, most, &happened, &error);
        Interop.Check(status, error);
        return status == (int)TidegateStatus.Ok ? TidegateEvent.Take(happened) : null;
    }
}
