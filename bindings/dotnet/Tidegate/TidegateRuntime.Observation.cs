using Tidegate.Native;

namespace Tidegate;

// What a runtime says about itself.
public sealed partial class TidegateRuntime
{
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
}
