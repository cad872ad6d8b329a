using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Tidegate.Native;

/// <summary>
/// The C ABI as include/tidegate.h declares it: the same names, plain integers and pointers. The comments there hold
/// here. The calls on keys are the hot path: nothing is marshalled, and no handle's use is counted.
/// </summary>
internal static unsafe partial class NativeMethods
{
    internal const string Library = "tidegate";

    /// <summary>The ABI that this assembly was written for; <see cref="NativeLoader"/> compares it.</summary>
    internal const uint AbiVersion = 1;

    [LibraryImport(Library)]
    internal static partial uint tidegate_abi_version();

    [LibraryImport(Library)]
    internal static partial byte* tidegate_version();

    [LibraryImport(Library)]
    internal static partial ulong tidegate_features();

    [LibraryImport(Library)]
    internal static partial byte* tidegate_status_name(int status);

    [LibraryImport(Library)]
    internal static partial int tidegate_error_status(nint error);

    [LibraryImport(Library)]
    internal static partial byte* tidegate_error_message(nint error);

    [LibraryImport(Library)]
    internal static partial int tidegate_error_is_retriable(nint error);

    [LibraryImport(Library)]
    internal static partial void tidegate_error_free(nint error);

    [LibraryImport(Library)]
    internal static partial byte* tidegate_text_data(nint text);

    [LibraryImport(Library)]
    internal static partial void tidegate_text_free(nint text);

    [LibraryImport(Library)]
    internal static partial nint tidegate_config_create();

    [LibraryImport(Library)]
    internal static partial int tidegate_config_set(
        ConfigHandle config, byte* name, nuint nameLen, byte* value, nuint valueLen, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_config_describe(ConfigHandle config, nint* textOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial void tidegate_config_free(nint config);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_open(ConfigHandle config, nint* runtimeOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_close(nint runtime, ulong timeoutNs, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_create(
        RuntimeHandle runtime, byte* name, nuint nameLen, NativeLimit* limit, nint* limiterOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_set_limit(
        LimiterHandle limiter, NativeLimit* limit, ulong timeoutNs, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial void tidegate_limiter_free(nint limiter);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_key(
        LimiterHandle limiter, byte* value, nuint valueLen, ulong* keyOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_try_acquire(ulong key, ulong permits, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_acquire(
        ulong key, ulong permits, ulong timeoutNs, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_peek(ulong key, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_status(ulong key, NativeKeyStatus* statusOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_release(ulong key);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_storage_info(
        RuntimeHandle runtime, NativeStorageInfo* infoOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_health(
        RuntimeHandle runtime, int* stateOut, nint* messageOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_metrics(
        RuntimeHandle runtime, NativeMetrics* metricsOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_snapshot(RuntimeHandle runtime, nint* jsonOut, nint* errorOut);
}
