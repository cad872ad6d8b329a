using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Storage, background thread and clock: usually one per process, and it outlives what uses it. Any thread may use it.
/// It stays open until it is disposed: the garbage collector does not close one whose keys may still be in use.
/// </summary>
public sealed partial class TidegateRuntime : IDisposable, IAsyncDisposable
{
    /// <summary>How long disposing waits for the log to confirm the goodbye.</summary>
    private static readonly TimeSpan DisposeTimeout = TimeSpan.FromSeconds(1);

    private readonly RuntimeHandle _handle;

    // Closing gives these back, too: each keeps the native runtime open. Null once closing began.
    private HashSet<TidegateLimiter>? _limiters = [];
    private readonly object _gate = new();
    private volatile bool _isClosing;

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
    public static TidegateRuntime Open(IEnumerable<KeyValuePair<string, string>> properties) =>
        OpenWith(null, properties);

    /// <summary>Opens a local runtime of its own whose time is that of <paramref name="clock"/>: for tests.</summary>
    /// <exception cref="TidegateException">As above, or the storage is not <c>memory</c>.</exception>
    /// <inheritdoc cref="Open(IEnumerable{KeyValuePair{string, string}})"/>
    public static TidegateRuntime Open(
        IEnumerable<KeyValuePair<string, string>> properties, TidegateManualClock clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        return OpenWith(clock.Handle, properties);
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
    public void Dispose()
    {
        if (Close(Interop.TimeoutNs(DisposeTimeout, nameof(DisposeTimeout))))
        {
            // Who waits for an event leaves the library first, and the last of them closes.
            _handle.Closed.Wait(DisposeTimeout);
        }
    }

    /// <summary>The same without blocking.</summary>
    public ValueTask DisposeAsync() => _handle.IsClosed
        ? ValueTask.CompletedTask
        : new(Task.Run(Dispose));

    private static unsafe TidegateRuntime OpenWith(
        ClockHandle? clock, IEnumerable<KeyValuePair<string, string>> properties)
    {
        ArgumentNullException.ThrowIfNull(properties);
        using ConfigHandle config = TidegateOptions.ToNative(properties);
        nint runtime = 0;
        nint error = 0;
        int status = clock is null
            ? NativeMethods.tidegate_runtime_open(config, &runtime, &error)
            : NativeMethods.tidegate_runtime_open_with_clock(config, clock, &runtime, &error);
        Interop.Check(status, error);
        return new(runtime);
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
        _isClosing = true;
        Interlocked.MemoryBarrier();
        WakeWhile(ref _listening);
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
