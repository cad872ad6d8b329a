using System.Runtime.InteropServices;

namespace Tidegate.Native;

// The calls on keys and tickets, which are plain ids, are the hot path: nothing is marshalled, and no handle's use is counted.
internal static unsafe partial class NativeMethods
{
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
    internal static partial int tidegate_keys_try_acquire(
        ulong* keys, ulong* permits, uint count, TidegateDecision* decisionsOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_key_reserve(
        ulong key, ulong permits, ulong maxWaitNs, ulong* ticketOut, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_ticket_poll(ulong ticket, TidegateDecision* decisionOut);

    [LibraryImport(Library)]
    internal static partial int tidegate_ticket_cancel(ulong ticket);

    [LibraryImport(Library)]
    internal static partial int tidegate_ticket_settle(ulong ticket, ulong used);
}
