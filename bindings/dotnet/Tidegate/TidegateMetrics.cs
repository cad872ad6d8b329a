using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Counters of a runtime. They only grow, but for <see cref="Keys"/>, <see cref="KeysIdle"/>, <see cref="Waiting"/>,
/// <see cref="PartitionsFollowed"/>, <see cref="SessionsValid"/> and what is said of a snapshot.
/// </summary>
public readonly record struct TidegateMetrics
{
    internal TidegateMetrics(in NativeMetrics from)
    {
        Keys = Interop.Count(from.Keys);
        PermitsGranted = Interop.Count(from.PermitsGranted);
        PermitsRefused = Interop.Count(from.PermitsRefused);
        PermitsAllowed = Interop.Count(from.PermitsAllowed);
        Waiting = Interop.Count(from.Waiting);
        PartitionsFollowed = Interop.Count(from.PartitionsFollowed);
        SessionsValid = Interop.Count(from.SessionsValid);
        RecordsSent = Interop.Count(from.RecordsSent);
        RecordsResent = Interop.Count(from.RecordsResent);
        RecordsRead = Interop.Count(from.RecordsRead);
        RecordsRefused = Interop.Count(from.RecordsRefused);
        SessionsLost = Interop.Count(from.SessionsLost);
        EvictionsSent = Interop.Count(from.EvictionsSent);
        DigestMismatches = Interop.Count(from.DigestMismatches);
        Gaps = Interop.Count(from.Gaps);
        KeysIdle = Interop.Count(from.KeysIdle);
        PermitsShadowed = Interop.Count(from.PermitsShadowed);
        SessionsLostWhileValid = Interop.Count(from.SessionsLostWhileValid);
        DigestsCompared = Interop.Count(from.DigestsCompared);
        SnapshotsWritten = Interop.Count(from.SnapshotsWritten);
        SnapshotsRestored = Interop.Count(from.SnapshotsRestored);
        SnapshotAge = from.SnapshotAgeMs == 0 ? null : TimeSpan.FromMilliseconds((double)from.SnapshotAgeMs);
        SnapshotOffset = Interop.Count(from.SnapshotOffset);
        Resets = Interop.Count(from.Resets);
    }

    /// <summary>Live keys.</summary>
    public long Keys { get; }

    /// <summary>Permits granted.</summary>
    public long PermitsGranted { get; }

    /// <summary>Permits refused.</summary>
    public long PermitsRefused { get; }

    /// <summary>Of the granted, those without any share, in an outage, under <see cref="TidegateOutage.Allow"/>.</summary>
    public long PermitsAllowed { get; }

    /// <summary>Blocking calls of <see cref="TidegateKey.Acquire"/> that wait now.</summary>
    public long Waiting { get; }

    /// <summary>Partitions of the log that are read.</summary>
    public long PartitionsFollowed { get; }

    /// <summary>Of these, those in which this process's shares are valid now.</summary>
    public long SessionsValid { get; }

    /// <summary>Records written, with those said again.</summary>
    public long RecordsSent { get; }

    /// <summary>Records said again because the first was not read back in time.</summary>
    public long RecordsResent { get; }

    /// <summary>Records read.</summary>
    public long RecordsRead { get; }

    /// <summary>Bytes in the log that are no records.</summary>
    public long RecordsRefused { get; }

    /// <summary>Sessions of this process that others ended, or that broke off.</summary>
    public long SessionsLost { get; }

    /// <summary>Sessions of others that this process ended for their silence.</summary>
    public long EvictionsSent { get; }

    /// <summary>Times another process's state differed from this one's.</summary>
    public long DigestMismatches { get; }

    /// <summary>Times the log could not be read on and was read anew.</summary>
    public long Gaps { get; }

    /// <summary>Buckets of local limits that no key stands for and that are not full again yet: remembered.</summary>
    public long KeysIdle { get; }

    /// <summary>Of the refused, those that a limit in shadow mode let pass.</summary>
    public long PermitsShadowed { get; }

    /// <summary>Of the sessions lost, while this process's clock said they were valid: a clock or a machine stood still.</summary>
    public long SessionsLostWhileValid { get; }

    /// <summary>Times another process's state was compared with this one's.</summary>
    public long DigestsCompared { get; }

    /// <summary>Snapshots written.</summary>
    public long SnapshotsWritten { get; }

    /// <summary>Snapshots that this process started from.</summary>
    public long SnapshotsRestored { get; }

    /// <summary>The age of the newest snapshot of a partition, the oldest of all; null where none is known.</summary>
    public TimeSpan? SnapshotAge { get; }

    /// <summary>The offset that it stands for.</summary>
    public long SnapshotOffset { get; }

    /// <summary>Times a partition was declared empty, because nothing was left of its state and nobody was there.</summary>
    public long Resets { get; }
}
