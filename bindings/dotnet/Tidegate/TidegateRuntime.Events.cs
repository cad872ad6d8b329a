using System.Diagnostics;
using System.Runtime.CompilerServices;
using Tidegate.Native;

namespace Tidegate;

// What the limits of a runtime have to say beyond their decisions. Events are pulled: nothing calls back into the program.
public sealed partial class TidegateRuntime
{
    /// <summary>
    /// How long a thread is in the library at once. The library wakes nobody who waits there when the runtime is closed:
    /// the handle that it waits with must be idle for that.
    /// </summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(100);

    /// <summary>How often <see cref="EventsAsync"/> looks: a person or a consumer that is paused notices no difference.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// The next event of the runtime's limits, waited for up to <paramref name="timeout"/>; null when none came. Blocks this
    /// thread only. Each event is given out once, to whoever asks first; of those that nobody takes the newest 4096 are
    /// kept. Pressure ends while somebody waits here, or with the next grant: a source that pauses under pressure should wait
    /// here for its end.
    /// </summary>
    /// <param name="timeout">Longest wait; <see cref="Timeout.InfiniteTimeSpan"/> = without end.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative time.</exception>
    /// <exception cref="ObjectDisposedException">The runtime was closed, before or meanwhile.</exception>
    public TidegateEvent? NextEvent(TimeSpan timeout)
    {
        Interop.CheckTimeout(timeout, nameof(timeout));
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            TimeSpan left = timeout == Timeout.InfiniteTimeSpan
                ? TimeSpan.MaxValue
                : timeout - Stopwatch.GetElapsedTime(start);
            ThrowIfClosed();
            TidegateEvent? happened = TakeEvent(left < LongestWait ? left : LongestWait);
            if (happened is not null || left <= LongestWait)
            {
                return happened;
            }
        }
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

    private unsafe TidegateEvent? TakeEvent(TimeSpan timeout)
    {
        nint happened = 0;
        nint error = 0;
        ulong most = timeout > TimeSpan.Zero ? Interop.Nanoseconds(timeout, nameof(timeout)) : 0;
        int status = NativeMethods.tidegate_runtime_next_event(_handle, most, &happened, &error);
        Interop.Check(status, error);
        return status == (int)TidegateStatus.Ok ? TidegateEvent.Take(happened) : null;
    }
}
