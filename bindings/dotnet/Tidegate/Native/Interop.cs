using System.Runtime.InteropServices;
using System.Text;

namespace Tidegate.Native;

/// <summary>Text, time and status between the two worlds.</summary>
internal static unsafe partial class Interop
{
    /// <summary>UTF-16 that fits a stack buffer is encoded there: most names and keys are short.</summary>
    internal const int StackBytes = 256;

    /// <summary>The same for contexts, of which there is more to say.</summary>
    internal const int ContextBytes = 512;

    // Half of a surrogate pair is no text: replacing it silently would make one key out of two.
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Copies a text of the library's and frees it.</summary>
    internal static string TakeText(nint text)
    {
        try
        {
            return Text(NativeMethods.tidegate_text_data(text));
        }
        finally
        {
            NativeMethods.tidegate_text_free(text);
        }
    }

    internal static string Text(byte* utf8) => Marshal.PtrToStringUTF8((nint)utf8) ?? "";

    /// <summary>Throws for a negative status of a call that tells no story.</summary>
    internal static void Check(int status)
    {
        if (status < 0)
        {
            Fail(status);
        }
    }

    // A method of its own: throwing in a caller would keep it from being inlined.
    internal static bool Fail(int status) => throw TidegateException.Of(status);

    /// <summary>Throws for a negative status, and frees the error that came with it.</summary>
    internal static void Check(int status, nint error)
    {
        if (status < 0)
        {
            throw TidegateException.Take(status, error);
        }
    }

    /// <summary>Nanoseconds of a time-out; <see cref="Timeout.InfiniteTimeSpan"/> is the longest there is.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Any other negative time.</exception>
    internal static ulong TimeoutNs(TimeSpan timeout, string name) =>
        timeout == Timeout.InfiniteTimeSpan ? ulong.MaxValue : Nanoseconds(timeout, name);

    /// <summary>Refuses what <see cref="TimeoutNs"/> refuses; cheaper where the nanoseconds are not needed.</summary>
    internal static void CheckTimeout(TimeSpan timeout, string name)
    {
        if (timeout.Ticks < 0 && timeout != Timeout.InfiniteTimeSpan)
        {
            throw new ArgumentOutOfRangeException(name, timeout, "a time-out is not negative");
        }
    }

    internal static ulong Nanoseconds(TimeSpan time, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero, name);
        ulong ticks = (ulong)time.Ticks;
        return ticks > ulong.MaxValue / TimeSpan.NanosecondsPerTick ? ulong.MaxValue : ticks * TimeSpan.NanosecondsPerTick;
    }

    /// <summary>Rounded up: coming back early would be refused again. "Never" is <see cref="TimeSpan.MaxValue"/>.</summary>
    internal static TimeSpan Time(ulong nanoseconds) => nanoseconds == ulong.MaxValue
        ? TimeSpan.MaxValue
        : TimeSpan.FromTicks((long)(nanoseconds / TimeSpan.NanosecondsPerTick)
            + (nanoseconds % TimeSpan.NanosecondsPerTick == 0 ? 0 : 1));

    /// <summary>A part, 0 to 1, in millionths.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Any other number, or none.</exception>
    internal static uint Ppm(double part, string name) => part is >= 0 and <= 1
        ? (uint)Math.Round(part * 1e6)
        : throw new ArgumentOutOfRangeException(name, part, "a part is 0 to 1");

    internal static long Count(ulong count) => (long)Math.Min(count, long.MaxValue);
}
