using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Tidegate.Native;

/// <summary>Text, time and status between the two worlds.</summary>
internal static unsafe class Interop
{
    /// <summary>UTF-16 that fits a stack buffer is encoded there: most names and keys are short.</summary>
    internal const int StackBytes = 256;

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

    internal static long Count(ulong count) => (long)Math.Min(count, long.MaxValue);

    /// <summary>Room for a context's texts in UTF-8, at most.</summary>
    /// <exception cref="ArgumentException">More dimensions than a context can have.</exception>
    internal static int MostBytes(ReadOnlySpan<(string Dimension, string Value)> context)
    {
        if (context.Length > NativeMethods.ScopesMax)
        {
            throw new ArgumentException($"a context has at most {NativeMethods.ScopesMax} dimensions", nameof(context));
        }
        int most = 0;
        foreach ((string dimension, string value) in context)
        {
            ArgumentNullException.ThrowIfNull(dimension);
            ArgumentNullException.ThrowIfNull(value);
            most = checked(most + Strict.GetMaxByteCount(dimension.Length) + Strict.GetMaxByteCount(value.Length));
        }
        return most;
    }

    /// <summary>A context as C has it. Both places are large enough.</summary>
    internal static void Encode(
        ReadOnlySpan<(string Dimension, string Value)> context, byte* bytes, int capacity, NativeScope* scopes)
    {
        Span<byte> left = new(bytes, capacity);
        foreach ((string dimension, string value) in context)
        {
            *scopes++ = new()
            {
                Dimension = bytes + (capacity - left.Length),
                DimensionLen = Encode(dimension, ref left),
                Value = bytes + (capacity - left.Length),
                ValueLen = Encode(value, ref left),
            };
        }
    }

    private static ulong Encode(string text, ref Span<byte> left)
    {
        int length = Strict.GetBytes(text, left);
        left = left[length..];
        return (ulong)length;
    }

    /// <summary>Encodes a text on the stack or in a rented buffer; dispose gives that back.</summary>
    internal ref struct Utf8
    {
        private byte[]? _rented;

        internal Utf8(ReadOnlySpan<char> text, Span<byte> stack)
        {
            int most = Strict.GetMaxByteCount(text.Length);
            Span<byte> buffer = most <= stack.Length ? stack : _rented = ArrayPool<byte>.Shared.Rent(most);
            Bytes = buffer[..Strict.GetBytes(text, buffer)];
        }

        internal ReadOnlySpan<byte> Bytes { get; }

        internal void Dispose()
        {
            if (_rented is not null)
            {
                // Values of properties may be secrets.
                ArrayPool<byte>.Shared.Return(_rented, clearArray: true);
                _rented = null;
            }
        }
    }
}
