using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// A named limit, shared by every process that has one of this name on the same topic. Any thread may use it.
/// Made by <see cref="TidegateRuntime.CreateLimiter(string, TidegateLimit)"/>.
/// </summary>
public sealed unsafe partial class TidegateLimiter : IDisposable
{
    private readonly TidegateRuntime _runtime;
    private readonly LimiterHandle _handle;

    // Of the tiers, if all that ask for a value ask for that of one and the same.
    private readonly string? _onlyDimension;

    internal TidegateLimiter(TidegateRuntime runtime, string name, TidegateLimit limit, nint handle, string? onlyDimension = null)
    {
        _runtime = runtime;
        _handle = new(handle);
        _onlyDimension = onlyDimension;
        (Name, Limit) = (name, limit);
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Its limit, with the numbers that this process last asked for; of the first tier where it has several.</summary>
    public TidegateLimit Limit { get; private set; }

    /// <summary>
    /// The key of a scope value, such as a tenant's name; "" is one as good as any. Each value has a bucket of its own.
    /// Takes a lock and hashes the value: resolve once, then decide with the key.
    /// </summary>
    /// <exception cref="ArgumentException">Half of a surrogate pair: no text.</exception>
    /// <exception cref="TidegateException">The value is too long, or <c>keys.max</c> keys are live.</exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public TidegateKey GetKey(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return GetKey(value.AsSpan());
    }

    /// <inheritdoc cref="GetKey(string)"/>
    public TidegateKey GetKey(ReadOnlySpan<char> value)
    {
        using Interop.Utf8 utf8 = new(value, stackalloc byte[Interop.StackBytes]);
        return GetKey(utf8.Bytes);
    }

    /// <summary>The key of a value that is UTF-8 already: nothing is converted.</summary>
    /// <inheritdoc cref="GetKey(string)"/>
    public TidegateKey GetKey(ReadOnlySpan<byte> utf8Value)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        ulong key = 0;
        nint error = 0;
        fixed (byte* bytes = utf8Value)
        {
            Interop.Check(
                NativeMethods.tidegate_limiter_key(_handle, bytes, (nuint)utf8Value.Length, &key, &error), error);
        }
        return new(key);
    }

    /// <summary>
    /// Gives the limit other numbers, for the whole fleet: every process switches where it reads the change in the log.
    /// Blocks until every partition of the log has it, for at most <paramref name="timeout"/>.
    /// </summary>
    /// <param name="limit">
    /// Numbers only: what happens in an outage and where they are reached is each process's own, and stays.
    /// </param>
    /// <param name="timeout">Longest wait, about.</param>
    /// <exception cref="TidegateException">
    /// <see cref="TidegateStatus.Storage"/>: not confirmed in time; it will be, when the log answers.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The limiter or its runtime was disposed.</exception>
    public void SetLimit(TidegateLimit limit, TimeSpan timeout) => Change(null, limit, timeout);

    /// <summary><see cref="SetLimit(TidegateLimit, TimeSpan)"/> of one tier.</summary>
    /// <inheritdoc cref="SetLimit(TidegateLimit, TimeSpan)"/>
    public void SetLimit(int tier, TidegateLimit limit, TimeSpan timeout) => Change(tier, limit, timeout);

    /// <summary>
    /// Gives the limiter back; again does nothing. Its keys live on until they are released or the runtime is closed.
    /// May block for a second where it is the last thing that kept a closed runtime open.
    /// </summary>
    public void Dispose()
    {
        _runtime.Forget(this);
        Free();
    }

    private void Change(int? tier, TidegateLimit limit, TimeSpan timeout)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        NativeLimit native = limit.ToNative();
        nint error = 0;
        ulong most = Interop.TimeoutNs(timeout, nameof(timeout));
        int status = tier is { } one
            ? NativeMethods.tidegate_limiter_set_tier_limit(_handle, (uint)one, &native, most, &error)
            : NativeMethods.tidegate_limiter_set_limit(_handle, &native, most, &error);
        Interop.Check(status, error);
        Limit = tier is null or 0 ? limit.As(Limit) : Limit;
    }

    internal void Free()
    {
        _handle.Dispose();
        GiveBackAll(close: true);
    }
}
