using System.Runtime.InteropServices;

namespace Tidegate.Worker;

/// <summary>The two things that .NET does not offer: the clock that all processes compare, and naps below 1 ms.</summary>
internal static unsafe partial class Libc
{
    private const int ClockBootTime = 7;

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, Timespec* time);

    [LibraryImport("libc")]
    private static partial int nanosleep(Timespec* time, Timespec* left);

    internal static ulong BootTimeNs()
    {
        Timespec now;
        return clock_gettime(ClockBootTime, &now) == 0
            ? (ulong)now.Seconds * 1_000_000_000 + (ulong)now.Nanoseconds
            : throw new InvalidOperationException("no CLOCK_BOOTTIME");
    }

    internal static void Nap(ulong nanoseconds)
    {
        Timespec time = new()
        {
            Seconds = (long)(nanoseconds / 1_000_000_000),
            Nanoseconds = (long)(nanoseconds % 1_000_000_000),
        };
        _ = nanosleep(&time, null);
    }
}
