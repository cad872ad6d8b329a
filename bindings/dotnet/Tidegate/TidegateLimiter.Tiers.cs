using Tidegate.Native;

namespace Tidegate;

// Several tiers, and contexts.
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
    /// The same in a context, as for <see cref="GetKey(ReadOnlySpan{ValueTuple{string, string}})"/>. Remembered as a value is
    /// where the tiers ask for one dimension and the context has no other.
    /// </summary>
    /// <inheritdoc cref="TryAcquire(string, long)"/>
    public bool TryAcquire(
        ReadOnlySpan<(string Dimension, string Value)> context, long permits, out TidegateDecision decision)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(permits);
        if (context.Length == 1 && context[0] is (string dimension, string value) && dimension == _onlyDimension)
        {
            return TryAcquire(value, permits, out decision);
        }
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
}
