using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Time that stands still until it is told to advance: an application tests its own limits without sleeping. Any thread
/// may use it. Runtimes that were opened with it keep it.
/// </summary>
public sealed class TidegateManualClock : IDisposable
{
    internal ClockHandle Handle { get; } = new();

    /// <summary>Moves the clock forward. Calls that wait meanwhile wait in real time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A negative time: it never goes back.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public void Advance(TimeSpan time)
    {
        ObjectDisposedException.ThrowIf(Handle.IsClosed, this);
        NativeMethods.tidegate_clock_advance(Handle, Interop.Nanoseconds(time, nameof(time)));
    }

    /// <summary>Gives the handle back; runtimes go on with the time where it stands.</summary>
    public void Dispose() => Handle.Dispose();
}
