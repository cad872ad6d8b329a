using System.Runtime.InteropServices;

namespace Tidegate.Native;

// The structs of include/tidegate.h, field by field; HeaderTests compares names, order and sizes with the header.

[StructLayout(LayoutKind.Sequential)]
internal struct NativeLimit
{
    public uint StructSize;
    public uint Kind;
    public ulong Permits;
    public ulong PeriodNs;
    public ulong Burst;
    public uint OnOutage;
    public uint Mode;
    public uint Enforcement;
    public uint BreakerThreshold;
    public ulong MaxWaitNs;
    public ulong OpenForNs;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeTier
{
    public uint StructSize;
    public uint Reserved;
    public byte* Name;
    public ulong NameLen;
    public byte* Scope;
    public ulong ScopeLen;
    public NativeLimit* Limit;
    public ulong Weight;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeScope
{
    public byte* Dimension;
    public ulong DimensionLen;
    public byte* Value;
    public ulong ValueLen;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NativeKeyStatus
{
    public uint StructSize;
    public uint Basis;
    public ulong RateMicro;
    public ulong Burst;
    public ulong ShareRateMicro;
    public ulong ShareBurst;
    public ulong Remaining;
    public ulong Granted;
    public ulong Refused;
    public uint Processes;
    public uint Waiting;
    public uint PacePpm;
    public uint Reserved;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NativeAdaptive
{
    public uint StructSize;
    public uint FloorPpm;
    public uint StepPpm;
    public uint CutPpm;
    public ulong EveryNs;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NativeStorageInfo
{
    public uint StructSize;
    public uint Backend;
    public uint IsShared;
    public uint IsPersistent;
    public uint Partitions;
    public uint Replication;
    public ulong AppendP50Ns;
    public ulong AppendP99Ns;
    public ulong AckAgeNs;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NativeMetrics
{
    public uint StructSize;
    public uint Reserved;
    public ulong Keys;
    public ulong PermitsGranted;
    public ulong PermitsRefused;
    public ulong PermitsAllowed;
    public ulong Waiting;
    public ulong PartitionsFollowed;
    public ulong SessionsValid;
    public ulong RecordsSent;
    public ulong RecordsResent;
    public ulong RecordsRead;
    public ulong RecordsRefused;
    public ulong SessionsLost;
    public ulong EvictionsSent;
    public ulong DigestMismatches;
    public ulong Gaps;
    public ulong KeysIdle;
    public ulong PermitsShadowed;
    public ulong SessionsLostWhileValid;
    public ulong DigestsCompared;
    public ulong SnapshotsWritten;
    public ulong SnapshotsRestored;
    public ulong SnapshotAgeMs;
    public ulong SnapshotOffset;
    public ulong Resets;
}
