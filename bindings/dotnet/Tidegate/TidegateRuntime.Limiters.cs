using Tidegate.Native;

namespace Tidegate;

// The limiters of a runtime, which closing gives back: each keeps the native runtime open.
public sealed partial class TidegateRuntime
{
    /// <summary>
    /// Makes a limiter of several tiers, at most 8: all of them give, or none does. Every process that makes one of this
    /// name with the same tiers in the same order on the same topic shares it.
    /// </summary>
    /// <exception cref="ArgumentException">No tier, or more than 8.</exception>
    /// <inheritdoc cref="CreateLimiter(string, TidegateLimit)"/>
    public unsafe TidegateLimiter CreateLimiter(string name, params TidegateTier[] tiers)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(tiers);
        ThrowIfClosed();
        if (tiers.Length is 0 or > NativeMethods.TiersMax)
        {
            throw new ArgumentException($"a limiter has 1 to {NativeMethods.TiersMax} tiers, not {tiers.Length}", nameof(tiers));
        }
        NativeTier* native = stackalloc NativeTier[NativeMethods.TiersMax];
        NativeLimit* limits = stackalloc NativeLimit[NativeMethods.TiersMax];
        (string, string)[] texts = [.. tiers.Select(tier => (tier.Name, tier.Scope ?? "")), (name, "")];
        byte* stack = stackalloc byte[Interop.ContextBytes];
        using Interop.Context encoded = new(texts, stack);
        for (int i = 0; i < tiers.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tiers[i].Weight, nameof(tiers));
            limits[i] = tiers[i].Limit.ToNative();
            native[i] = new()
            {
                StructSize = (uint)sizeof(NativeTier),
                Name = encoded.Scopes[i].Dimension,
                NameLen = encoded.Scopes[i].DimensionLen,
                Scope = tiers[i].Scope is null ? null : encoded.Scopes[i].Value,
                ScopeLen = encoded.Scopes[i].ValueLen,
                Limit = &limits[i],
                Weight = (ulong)tiers[i].Weight,
            };
        }
        nint handle = 0;
        nint error = 0;
        NativeScope named = encoded.Scopes[tiers.Length];
        int status = NativeMethods.tidegate_limiter_create_tiers(
            _handle, named.Dimension, (nuint)named.DimensionLen, native, (uint)tiers.Length, &handle, &error);
        Interop.Check(status, error);
        string[] dimensions = [.. tiers.Select(tier => tier.Scope).OfType<string>().Distinct()];
        return Keep(new(this, name, tiers[0].Limit, handle, dimensions.Length == 1 ? dimensions[0] : null));
    }

    /// <summary>Makes a limiter. Every process that makes one of this name on the same topic shares it.</summary>
    /// <exception cref="TidegateException">
    /// <see cref="TidegateStatus.Argument"/>: a limit out of range, an empty or long name, or one that this process has
    /// open with other numbers.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The runtime was closed.</exception>
    public unsafe TidegateLimiter CreateLimiter(string name, TidegateLimit limit)
    {
        ArgumentNullException.ThrowIfNull(name);
        ThrowIfClosed();
        NativeLimit native = limit.ToNative();
        nint handle = 0;
        nint error = 0;
        using (Interop.Utf8 utf8 = new(name, stackalloc byte[Interop.StackBytes]))
        {
            fixed (byte* bytes = utf8.Bytes)
            {
                int status = NativeMethods.tidegate_limiter_create(
                    _handle, bytes, (nuint)utf8.Bytes.Length, &native, &handle, &error);
                Interop.Check(status, error);
            }
        }
        return Keep(new(this, name, limit, handle));
    }

    private TidegateLimiter Keep(TidegateLimiter limiter)
    {
        bool open;
        lock (_gate)
        {
            open = _limiters?.Add(limiter) ?? false;
        }
        if (!open)
        {
            // Closed by another thread meanwhile, which did not see this one.
            limiter.Free();
            ThrowIfClosed();
        }
        return limiter;
    }

    /// <summary>A limiter was disposed: nothing to do for it when closing.</summary>
    internal void Forget(TidegateLimiter limiter)
    {
        lock (_gate)
        {
            _limiters?.Remove(limiter);
        }
    }
}
