using Tidegate.Native;

namespace Tidegate;

// A limiter that follows something: a consumer's lag, or how calls end. All tiers alike, of this process alone.
public sealed unsafe partial class TidegateLimiter
{
    /// <summary>
    /// Stands still from a lag greater than <paramref name="above"/> until one of <paramref name="below"/> or less:
    /// nothing refills, and the time is not made up for; what was there can be taken. All tiers do, in this process: every
    /// process that follows the same lag does the same. Events tell of it.
    /// </summary>
    /// <param name="above">In the unit of <see cref="ObserveLag"/> or <see cref="WatchLag"/>.</param>
    /// <param name="below">Not greater than <paramref name="above"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="TidegateException"><paramref name="below"/> is greater than <paramref name="above"/>.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void PauseOnLag(long above, long below)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(above);
        ArgumentOutOfRangeException.ThrowIfNegative(below);
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_limiter_pause_on_lag(_handle, (ulong)above, (ulong)below, &error), error);
    }

    /// <summary>
    /// Slows down as the lag grows: the whole rate up to <paramref name="from"/>, <paramref name="floor"/> of it at
    /// <paramref name="to"/> and beyond, and a straight line between. With <see cref="PauseOnLag"/> the slower counts.
    /// </summary>
    /// <param name="from">In the unit of <see cref="ObserveLag"/> or <see cref="WatchLag"/>.</param>
    /// <param name="to">Greater than <paramref name="from"/>.</param>
    /// <param name="floor">A part of the rate, 0 to 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number, or no part.</exception>
    /// <exception cref="TidegateException"><paramref name="to"/> is not greater than <paramref name="from"/>.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void SlowOnLag(long from, long to, double floor)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfNegative(to);
        uint ppm = Interop.Ppm(floor, nameof(floor));
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_limiter_slow_on_lag(_handle, (ulong)from, (ulong)to, ppm, &error), error);
    }

    /// <summary>Tells how far the consumer is behind. Costs nothing where the pace stays; else a lock for each live key.</summary>
    /// <param name="lag">In any unit, as long as it is that of <see cref="PauseOnLag"/> and <see cref="SlowOnLag"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void ObserveLag(long lag)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(lag);
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_limiter_observe_lag(_handle, (ulong)lag, &error), error);
    }

    /// <summary>
    /// Measures the lag of a consumer group in Kafka from now on, from its committed offsets and the ends of the
    /// partitions; the group is never joined. Ends with the limiter. A lag that cannot be measured stays as it was, and
    /// <see cref="TidegateRuntime.Health"/> says why.
    /// </summary>
    /// <param name="group">The group's name.</param>
    /// <param name="topics">Names of topics; none = all that the group has committed offsets for.</param>
    /// <param name="unit">
    /// In milliseconds <see cref="PauseOnLag"/> or <see cref="SlowOnLag"/> must be called before: only it is measured which
    /// of their numbers are exceeded.
    /// </param>
    /// <param name="every">How often; null = once a second.</param>
    /// <exception cref="ArgumentException">An empty topic, or one with a comma, which no topic has.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A negative time.</exception>
    /// <exception cref="TidegateException">
    /// <see cref="TidegateStatus.Config"/> without Kafka; a name or time that cannot be, or nothing to compare a time with.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void WatchLag(
        string group, IEnumerable<string> topics, TidegateLagUnit unit = TidegateLagUnit.Records, TimeSpan? every = null)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(topics);
        ulong everyNs = Interop.Nanoseconds(every ?? TimeSpan.FromSeconds(1), nameof(every));
        using Interop.Utf8 utf8Group = new(group, stackalloc byte[Interop.StackBytes]);
        using Interop.Utf8 utf8Topics = new(Joined(topics), stackalloc byte[Interop.StackBytes]);
        nint error = 0;
        fixed (byte* groupBytes = utf8Group.Bytes, topicBytes = utf8Topics.Bytes)
        {
            int status = NativeMethods.tidegate_limiter_watch_lag(
                _handle, groupBytes, (nuint)utf8Group.Bytes.Length, topicBytes, (nuint)utf8Topics.Bytes.Length,
                (uint)unit, everyNs, &error);
            Interop.Check(status, error);
        }
    }

    /// <summary>
    /// Finds the rate that what is behind the limit bears, from what <see cref="ObserveOutcome"/> is told: additive
    /// increase, multiplicative decrease. Off by default, never faster than configured, of this process alone.
    /// </summary>
    /// <param name="floor">Never slower than this part of the configured rate.</param>
    /// <param name="step">What is added after a while without overload, of the configured rate.</param>
    /// <param name="cut">What is cut after an overload, of the current rate.</param>
    /// <param name="every">The rate changes at most so often; null = once a second.</param>
    /// <exception cref="ArgumentOutOfRangeException">A part outside of 0 to 1, or a negative time.</exception>
    /// <exception cref="TidegateException">A step or cut of 0.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void Adapt(double floor = 0.1, double step = 0.05, double cut = 0.3, TimeSpan? every = null)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        NativeAdaptive adaptive = new()
        {
            StructSize = (uint)sizeof(NativeAdaptive),
            FloorPpm = Interop.Ppm(floor, nameof(floor)),
            StepPpm = Interop.Ppm(step, nameof(step)),
            CutPpm = Interop.Ppm(cut, nameof(cut)),
            EveryNs = Interop.Nanoseconds(every ?? TimeSpan.FromSeconds(1), nameof(every)),
        };
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_limiter_adapt(_handle, &adaptive, &error), error);
    }

    /// <summary>Tells how a call ended, to a limiter that adapts.</summary>
    /// <param name="overloaded">Whether what was called had too much to do: HTTP 429 and 503, time-outs.</param>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void ObserveOutcome(bool overloaded)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_limiter_observe_outcome(_handle, overloaded ? 1 : 0, &error), error);
    }

    /// <summary>The library takes topics with commas between them: an empty one would be all, and "a,b" two.</summary>
    private static string Joined(IEnumerable<string> topics)
    {
        string[] names = [.. topics];
        foreach (string name in names)
        {
            if (string.IsNullOrWhiteSpace(name) || name.Contains(','))
            {
                throw new ArgumentException($"'{name}' is no name of a topic", nameof(topics));
            }
        }
        return string.Join(',', names);
    }
}
