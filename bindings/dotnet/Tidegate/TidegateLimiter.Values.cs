using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text.Unicode;
using Tidegate.Native;

namespace Tidegate;

// Decisions by value, without a key that somebody holds.
public sealed unsafe partial class TidegateLimiter
{
    private readonly HeldKeys _held = new();

    internal int HeldCount => _held.Count;

    // Cleared for good when a value alone does not name a key of this limiter.
    private bool _holds = true;

    /// <summary>
    /// Takes <paramref name="permits"/> under a value now or not at all, without a key to resolve before and release
    /// after. A value that a key stands for is the same bucket. Allocates nothing but for a value that comes for the second
    /// time: of the last 16,384, if they have at most 256 characters, the limiter remembers where they stand, and decides
    /// nearly as fast as with a key.
    /// </summary>
    /// <exception cref="TidegateException">0 permits, a value that is too long, or <c>keys.max</c> buckets in use.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public bool TryAcquire(string value, long permits = 1)
    {
        ArgumentNullException.ThrowIfNull(value);
        return TryByText(value, value, permits, null);
    }

    /// <summary>The same, with the reason and the time to come back.</summary>
    /// <exception cref="ArgumentNullException">No value: it would be the one of "".</exception>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(string value, long permits, out TidegateDecision decision)
    {
        ArgumentNullException.ThrowIfNull(value);
        TidegateDecision made;
        bool granted = TryByText(value, value, permits, &made);
        decision = made;
        return granted;
    }

    /// <summary>The same, with the reason and the time to come back.</summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(ReadOnlySpan<char> value, long permits, out TidegateDecision decision)
    {
        TidegateDecision made;
        bool granted = TryByText(value, null, permits, &made);
        decision = made;
        return granted;
    }

    /// <summary>The same for a value that is UTF-8 already.</summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    [SkipLocalsInit]
    public bool TryAcquire(ReadOnlySpan<byte> utf8Value, long permits, out TidegateDecision decision)
    {
        Span<char> text = stackalloc char[HeldKeys.CharsMax];
        TidegateDecision made;
        // What is too long or no text is for the library to judge.
        bool granted = utf8Value.Length <= text.Length
            && Utf8.ToUtf16(utf8Value, text, out _, out int length, replaceInvalidSequences: false) == OperationStatus.Done
            ? TryByText(text[..length], null, permits, &made)
            : TryWithoutKey(utf8Value, permits, &made);
        decision = made;
        return granted;
    }

    /// <param name="value">The value.</param>
    /// <param name="text">The same as a string, where there is one.</param>
    /// <param name="permits">How many.</param>
    /// <param name="made">Where the decision is wanted, or null.</param>
    private bool TryByText(ReadOnlySpan<char> value, string? text, long permits, TidegateDecision* made)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        if (value.Length > HeldKeys.CharsMax)
        {
            return TryByNewText(value, permits, made);
        }
        ulong key = _held.Find(value, out ulong hash);
        if (key != 0)
        {
            int status = NativeMethods.tidegate_key_try_acquire(key, (ulong)permits, made);
            if (status >= 0)
            {
                return status == 0;
            }
            // Given back meanwhile; or the call fails, and then without a key for the same reason.
        }
        bool granted = TryByNewText(value, permits, made);
        if (_held.CameBefore(hash) && _holds)
        {
            Hold(text ?? value.ToString(), hash);
        }
        return granted;
    }

    [SkipLocalsInit]
    private bool TryByNewText(ReadOnlySpan<char> value, long permits, TidegateDecision* made)
    {
        using Interop.Utf8 utf8 = new(value, stackalloc byte[Interop.StackBytes]);
        return TryWithoutKey(utf8.Bytes, permits, made);
    }

    private bool TryWithoutKey(ReadOnlySpan<byte> utf8Value, long permits, TidegateDecision* made)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        int status = Decide(utf8Value, permits, made);
        if (status == (int)TidegateStatus.Capacity && GaveAllBack())
        {
            status = Decide(utf8Value, permits, made);
        }
        if (HasStory(status, permits))
        {
            GetKey(utf8Value).Release();
        }
        Interop.Check(status);
        return status == 0;
    }

    private int Decide(ReadOnlySpan<byte> utf8Value, long permits, TidegateDecision* made)
    {
        fixed (byte* bytes = utf8Value)
        {
            return NativeMethods.tidegate_limiter_try_acquire(
                _handle, bytes, (nuint)utf8Value.Length, (ulong)permits, made);
        }
    }

    /// <summary>
    /// Holds a key for a text that was decided for just now. Never throws: the decision stands, and without a key the next
    /// one costs what this one did.
    /// </summary>
    private void Hold(string text, ulong hash)
    {
        ulong key = 0;
        int status = (int)TidegateStatus.Closed;
        using Interop.Utf8 utf8 = new(text, stackalloc byte[Interop.StackBytes]);
        try
        {
            fixed (byte* bytes = utf8.Bytes)
            {
                status = NativeMethods.tidegate_limiter_key(_handle, bytes, (nuint)utf8.Bytes.Length, &key, null);
            }
        }
        catch (ObjectDisposedException)
        {
            // Meanwhile, by another thread.
        }
        if (status == (int)TidegateStatus.Ok)
        {
            GiveBack(_held.Add(text, hash, key));
        }
        _holds &= status != (int)TidegateStatus.Argument;
    }

    /// <summary>Whether there may be room now for a new value, because this limiter holds no keys any more.</summary>
    private bool GaveAllBack()
    {
        bool held = _held.Count > 0;
        GiveBackAll(close: false);
        return held;
    }

    private void GiveBackAll(bool close) => Array.ForEach(_held.TakeAll(close), GiveBack);

    private static void GiveBack(ulong key)
    {
        if (key != 0)
        {
            // One that is out of date went with its runtime.
            _ = NativeMethods.tidegate_key_release(key);
        }
    }

    /// <summary>
    /// Whether making a key of the same fails for the same reason: a decision fails with a number only, that one in words.
    /// </summary>
    private static bool HasStory(int status, long permits) =>
        permits > 0 && status is (int)TidegateStatus.Argument or (int)TidegateStatus.Capacity;
}
