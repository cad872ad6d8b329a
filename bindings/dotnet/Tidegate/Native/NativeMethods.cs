using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Tidegate.Native;

/// <summary>
/// The C ABI as include/tidegate.h declares it: the same names, plain integers and pointers. The comments there hold
/// here.
/// </summary>
internal static unsafe partial class NativeMethods
{
    internal const string Library = "tidegate";

    /// <summary>The ABI that this assembly was written for; <see cref="NativeLoader"/> compares it.</summary>
    internal const uint AbiVersion = 1;

    internal const int TiersMax = 8;

    internal const int ScopesMax = 64;

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
    internal static partial int tidegate_limiter_create_tiers(
        RuntimeHandle runtime, byte* name, nuint nameLen, NativeTier* tiers, uint count, nint* limiterOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial uint tidegate_limiter_tier_count(LimiterHandle limiter);

    [LibraryImport(Library)]
    internal static partial byte* tidegate_limiter_tier_name(LimiterHandle limiter, uint tier);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_set_tier_limit(
        LimiterHandle limiter, uint tier, NativeLimit* limit, ulong timeoutNs, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_key_in(
        LimiterHandle limiter, NativeScope* scopes, uint count, ulong* keyOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_try_acquire(
        LimiterHandle limiter, byte* value, nuint valueLen, ulong permits, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_try_acquire_in(
        LimiterHandle limiter, NativeScope* scopes, uint count, ulong permits, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_set_limit(
        LimiterHandle limiter, NativeLimit* limit, ulong timeoutNs, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_pause_on_lag(
        LimiterHandle limiter, ulong pauseAbove, ulong resumeBelow, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_slow_on_lag(
        LimiterHandle limiter, ulong from, ulong to, uint floorPpm, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_observe_lag(LimiterHandle limiter, ulong lag, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_watch_lag(
        LimiterHandle limiter, byte* group, nuint groupLen, byte* topics, nuint topicsLen, uint unit, ulong everyNs,
        nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_adapt(LimiterHandle limiter, NativeAdaptive* adaptive, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_observe_outcome(LimiterHandle limiter, int isOverloaded, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial void tidegate_limiter_free(nint limiter);

    [LibraryImport(Library)]
    internal static partial int tidegate_limiter_key(
        LimiterHandle limiter, byte* value, nuint valueLen, ulong* keyOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial nint tidegate_clock_create();

    [LibraryImport(Library)]
    internal static partial void tidegate_clock_advance(ClockHandle clock, ulong spanNs);

    [LibraryImport(Library)]
    internal static partial void tidegate_clock_free(nint clock);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_open_with_clock(
        ConfigHandle config, ClockHandle clock, nint* runtimeOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_next_event(
        RuntimeHandle runtime, ulong timeoutNs, nint* eventOut, nint* errorOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_runtime_wake(RuntimeHandle runtime);

    [LibraryImport(Library)]
    internal static partial uint tidegate_event_kind(nint @event);

    [LibraryImport(Library)]
    internal static partial byte* tidegate_event_limiter(nint @event);

    [LibraryImport(Library)]
    internal static partial uint tidegate_event_tier(nint @event);

    [LibraryImport(Library)]
    internal static partial byte* tidegate_event_value(nint @event);

    [LibraryImport(Library)]
    internal static partial ulong tidegate_event_dropped(nint @event);

    [LibraryImport(Library)]
    internal static partial void tidegate_event_free(nint @event);

    [LibraryImport(Library)]
    internal static partial int tidegate_headers_format(
        byte* name, nuint nameLen, NativeLimit* limit, TidegateDecision* decision, nint* textOut, nint* errorOut);

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
