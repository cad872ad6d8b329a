using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Storage, background thread and clock: usually one per process, and it outlives what uses it. Any thread may use it.
/// It stays open until it is disposed: the garbage collector does not close one whose keys may still be in use.
/// </summary>
public sealed class TidegateRuntime : IDisposable, IAsyncDisposable
{
    /// <summary>How long disposing waits for the log to confirm the goodbye.</summary>
    private static readonly TimeSpan DisposeTimeout = TimeSpan.FromSeconds(1);

    private readonly RuntimeHandle _handle;

    // Closing gives these back, too: each keeps the native runtime open. Null once closing began.
    private HashSet<TidegateLimiter>? _limiters = [];
    private readonly object _gate = new();

    private TidegateRuntime(nint handle) => _handle = new(handle);

    /// <summary>
    /// Opens a runtime. Never waits for Kafka and does not fail when no broker answers: sharing starts by itself when
    /// one does, and until then <see cref="Health"/> says why it does not. Equal properties share one native runtime.
    /// </summary>
    /// <param name="properties">
    /// Tidegate's and librdkafka's properties by name: <see cref="TidegateOptions"/>, a dictionary, or a configuration
    /// of Confluent's client.
    /// </param>
    /// <exception cref="TidegateException">
    /// <see cref="TidegateStatus.Config"/>, with the property's name in the message: it is unknown, has no such value,
    /// contradicts another, or the Kafka client refuses it.
    /// </exception>
    /// <exception cref="DllNotFoundException">The native library is missing or of another ABI.</exception>
    public static unsafe TidegateRuntime Open(IEnumerable<KeyValuePair<string, string>> properties)
    {
        ArgumentNullException.ThrowIfNull(properties);
        using ConfigHandle config = TidegateOptions.ToNative(properties);
        nint runtime = 0;
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_runtime_open(config, &runtime, &error), error);
        return new(runtime);
    }

    /// <summary>Opens a local runtime of its own whose time is that of <paramref name="clock"/>: for tests.</summary>
    /// <exception cref="TidegateException">As above, or the storage is not <c>memory</c>.</exception>
    /// <inheritdoc cref="Open(IEnumerable{KeyValuePair{string, string}})"/>
    public static unsafe TidegateRuntime Open(
        IEnumerable<KeyValuePair<string, string>> properties, TidegateManualClock clock)
    {
        ArgumentNullException.ThrowIfNull(properties);
        ArgumentNullException.ThrowIfNull(clock);
        using ConfigHandle config = TidegateOptions.ToNative(properties);
        nint runtime = 0;
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_runtime_open_with_clock(config, clock.Handle, &runtime, &error), error);
        return new(runtime);
    }

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
        byte[] buffer = new byte[Interop.MostBytes(texts)];
        NativeScope* encoded = stackalloc NativeScope[NativeMethods.TiersMax + 1];
        nint handle = 0;
        nint error = 0;
        fixed (byte* bytes = buffer)
        {
            Interop.Encode(texts, bytes, buffer.Length, encoded);
            for (int i = 0; i < tiers.Length; i++)
            {
                ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tiers[i].Weight, nameof(tiers));
                limits[i] = tiers[i].Limit.ToNative();
                native[i] = new()
                {
                    StructSize = (uint)sizeof(NativeTier),
                    Name = encoded[i].Dimension,
                    NameLen = encoded[i].DimensionLen,
                    Scope = tiers[i].Scope is null ? null : encoded[i].Value,
                    ScopeLen = encoded[i].ValueLen,
                    Limit = &limits[i],
                    Weight = (ulong)tiers[i].Weight,
                };
            }
            NativeScope named = encoded[tiers.Length];
            int status = NativeMethods.tidegate_limiter_create_tiers(
                _handle, named.Dimension, (nuint)named.DimensionLen, native, (uint)tiers.Length, &handle, &error);
            Interop.Check(status, error);
        }
        return Keep(new(this, name, tiers[0].Limit, handle));
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

    /// <summary>What the storage knows about itself.</summary>
    /// <exception cref="ObjectDisposedException">The runtime was closed.</exception>
    public unsafe TidegateStorageInfo StorageInfo
    {
        get
        {
            ThrowIfClosed();
            NativeStorageInfo info = new() { StructSize = (uint)sizeof(NativeStorageInfo) };
            nint error = 0;
            Interop.Check(NativeMethods.tidegate_runtime_storage_info(_handle, &info, &error), error);
            return new(info);
        }
    }

    /// <summary>How well it is, and in words what is wrong. After closing: <see cref="TidegateHealthState.Closed"/>.</summary>
    public unsafe TidegateHealth Health
    {
        get
        {
            if (_handle.IsClosed)
            {
                return new(TidegateHealthState.Closed, "the runtime was closed");
            }
            int state = 0;
            nint text = 0;
            nint error = 0;
            Interop.Check(NativeMethods.tidegate_runtime_health(_handle, &state, &text, &error), error);
            return new((TidegateHealthState)state, Interop.TakeText(text));
        }
    }

    /// <summary>Counters. Visits every live key: about a millisecond for ten thousand.</summary>
    /// <exception cref="ObjectDisposedException">The runtime was closed.</exception>
    public unsafe TidegateMetrics Metrics()
    {
        ThrowIfClosed();
        NativeMetrics metrics = new() { StructSize = (uint)sizeof(NativeMetrics) };
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_runtime_metrics(_handle, &metrics, &error), error);
        return new(metrics);
    }

    /// <summary>Health, storage and metrics as one JSON object. Costs what <see cref="Metrics"/> costs.</summary>
    /// <exception cref="ObjectDisposedException">The runtime was closed.</exception>
    public unsafe string SnapshotJson()
    {
        ThrowIfClosed();
        nint text = 0;
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_runtime_snapshot(_handle, &text, &error), error);
        return Interop.TakeText(text);
    }

    /// <summary>
    /// Closes the runtime and its limiters: its shares return to the fleet at once, blocking waits end, and its keys are
    /// out of date. Another runtime of equal properties in this process keeps all that open. Again does nothing.
    /// </summary>
    /// <param name="timeout">Longest wait, about, for the log to confirm the goodbye. Waits on a pool thread.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative time.</exception>
    /// <exception cref="TidegateException">
    /// <see cref="TidegateStatus.Storage"/>: it was not confirmed. It is closed all the same; the others get the shares
    /// after <c>ttl.ms</c>.
    /// </exception>
    public Task CloseAsync(TimeSpan timeout)
    {
        ulong most = Interop.TimeoutNs(timeout, nameof(timeout));
        return _handle.IsClosed ? Task.CompletedTask : Closing(Task.Run(() => Close(most)));
    }

    /// <summary>Closes it as <see cref="CloseAsync"/> does, blocking for at most about a second; never throws.</summary>
    public void Dispose() => Close(Interop.TimeoutNs(DisposeTimeout, nameof(DisposeTimeout)));

    /// <summary>The same without blocking.</summary>
    public ValueTask DisposeAsync() => _handle.IsClosed
        ? ValueTask.CompletedTask
        : new(Task.Run(Dispose));

    /// <summary>A limiter was disposed: nothing to do for it when closing.</summary>
    internal void Forget(TidegateLimiter limiter)
    {
        lock (_gate)
        {
            _limiters?.Remove(limiter);
        }
    }

    /// <summary>True for the call that closed it.</summary>
    private bool Close(ulong timeoutNs)
    {
        HashSet<TidegateLimiter>? limiters;
        lock (_gate)
        {
            (limiters, _limiters) = (_limiters, null);
        }
        if (limiters is null)
        {
            return false;
        }
        foreach (TidegateLimiter limiter in limiters)
        {
            limiter.Free();
        }
        _handle.Close(timeoutNs);
        return true;
    }

    private async Task Closing(Task<bool> closing)
    {
        bool mine = await closing.ConfigureAwait(false);
        TidegateException? failure = await _handle.Closed.ConfigureAwait(false);
        if (mine && failure is not null)
        {
            throw failure;
        }
    }

    private void ThrowIfClosed() => ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
}
