using System.Runtime.InteropServices;

namespace Tidegate.Native;

/// <summary>
/// A handle that is given back when its owner is disposed, after the last call that uses it. The garbage collector
/// never gives one back: keys are plain ids, and those of a runtime that nobody disposed must go on working.
/// </summary>
internal abstract class NativeHandle : SafeHandle
{
    protected NativeHandle(nint handle)
        : base(0, ownsHandle: true)
    {
        SetHandle(handle);
#pragma warning disable CA1816 // Meant: see above.
        GC.SuppressFinalize(this);
#pragma warning restore CA1816
    }

    public override bool IsInvalid => handle == 0;
}

internal sealed class ConfigHandle() : NativeHandle(NativeMethods.tidegate_config_create())
{
    protected override bool ReleaseHandle()
    {
        NativeMethods.tidegate_config_free(handle);
        return true;
    }
}

internal sealed class ClockHandle() : NativeHandle(NativeMethods.tidegate_clock_create())
{
    protected override bool ReleaseHandle()
    {
        NativeMethods.tidegate_clock_free(handle);
        return true;
    }
}

internal sealed class LimiterHandle(nint limiter) : NativeHandle(limiter)
{
    protected override bool ReleaseHandle()
    {
        NativeMethods.tidegate_limiter_free(handle);
        return true;
    }
}

internal sealed class RuntimeHandle(nint runtime) : NativeHandle(runtime)
{
    // Closing may have to wait for another thread's call to end, and then happens there: hence a task.
    private readonly TaskCompletionSource<TidegateException?> _closed =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ulong _timeoutNs;

    /// <summary>Ends when the runtime is closed, with what went wrong.</summary>
    internal Task<TidegateException?> Closed => _closed.Task;

    /// <summary>Closes it, which blocks for at most about <paramref name="timeoutNs"/>. Only the first call counts.</summary>
    internal void Close(ulong timeoutNs)
    {
        _timeoutNs = timeoutNs;
        Dispose();
    }

    protected override unsafe bool ReleaseHandle()
    {
        nint error = 0;
        int status = NativeMethods.tidegate_runtime_close(handle, _timeoutNs, &error);
        _closed.SetResult(status < 0 ? TidegateException.Take(status, error) : null);
        return true;
    }
}
