using Tidegate.Native;

namespace Tidegate;

// Several tiers, contexts, and decisions by value without a key.
public sealed unsafe partial class TidegateLimiter
{
    /// <summary>How many tiers it has; a plain one has one.</summary>
    public int TierCount
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
            return (int)NativeMethods.tidegate_limiter_tier_count(_handle);
        }
    }

    /// <summary>The name of a tier, counted as in <see cref="TidegateDecision.Tier"/>; "" where there is none.</summary>
    public string TierName(int tier)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        return Interop.Text(NativeMethods.tidegate_limiter_tier_name(_handle, (uint)tier));
    }

    /// <summary>
    /// The key of a context: the values of the dimensions that the tiers ask for. A dimension that no tier asks for is
    /// left alone; one that a tier asks for and the context lacks is an error that names it.
    /// </summary>
    /// <example><code>limiter.GetKey([("topic", "orders"), ("consumer", "billing")])</code></example>
    /// <exception cref="TidegateException">A dimension is missing or given twice, or <c>keys.max</c> keys are live.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public TidegateKey GetKey(ReadOnlySpan<(string Dimension, string Value)> context)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        byte* stack = stackalloc byte[Interop.ContextBytes];
        using Interop.Context encoded = new(context, stack);
        ulong key = 0;
        nint error = 0;
        Interop.Check(
            NativeMethods.tidegate_limiter_key_in(_handle, encoded.Scopes, encoded.Count, &key, &error), error);
        return new(key);
    }

    /// <summary>
    /// Takes <paramref name="permits"/> under a value now or not at all, without a key to resolve before and release
    /// after: for values that come once. A value that a key stands for is the same bucket. Allocates nothing.
    /// </summary>
    /// <exception cref="TidegateException">0 permits, a value that is too long, or <c>keys.max</c> buckets in use.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public bool TryAcquire(string value, long permits = 1) => TryAcquire(value, permits, out _);

    /// <summary>The same, with the reason and the time to come back.</summary>
    /// <exception cref="ArgumentNullException">No value: it would be the one of "".</exception>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(string value, long permits, out TidegateDecision decision)
    {
        ArgumentNullException.ThrowIfNull(value);
        return TryAcquire(value.AsSpan(), permits, out decision);
    }

    /// <summary>The same, with the reason and the time to come back.</summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(ReadOnlySpan<char> value, long permits, out TidegateDecision decision)
    {
        using Interop.Utf8 utf8 = new(value, stackalloc byte[Interop.StackBytes]);
        return TryAcquire(utf8.Bytes, permits, out decision);
    }

    /// <summary>The same for a value that is UTF-8 already.</summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(ReadOnlySpan<byte> utf8Value, long permits, out TidegateDecision decision)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        TidegateDecision made;
        int status;
        fixed (byte* bytes = utf8Value)
        {
            status = NativeMethods.tidegate_limiter_try_acquire(
                _handle, bytes, (nuint)utf8Value.Length, (ulong)permits, &made);
        }
        if (HasStory(status, permits))
        {
            GetKey(utf8Value).Release();
        }
        Interop.Check(status);
        decision = made;
        return made.IsGranted;
    }

    /// <summary>The same in a context, as for <see cref="GetKey(ReadOnlySpan{ValueTuple{string, string}})"/>.</summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(
        ReadOnlySpan<(string Dimension, string Value)> context, long permits, out TidegateDecision decision)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        byte* stack = stackalloc byte[Interop.ContextBytes];
        using Interop.Context encoded = new(context, stack);
        TidegateDecision made;
        int status = NativeMethods.tidegate_limiter_try_acquire_in(
            _handle, encoded.Scopes, encoded.Count, (ulong)permits, &made);
        if (HasStory(status, permits))
        {
            GetKey(context).Release();
        }
        Interop.Check(status);
        decision = made;
        return made.IsGranted;
    }

    /// <summary>
    /// Whether making a key of the same fails for the same reason: a decision fails with a number only, that one in words.
    /// </summary>
    private static bool HasStory(int status, long permits) =>
        permits > 0 && status is (int)TidegateStatus.Argument or (int)TidegateStatus.Capacity;
}
