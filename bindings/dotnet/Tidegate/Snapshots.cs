using Tidegate.Native;

namespace Tidegate;

/// <summary>One key as this process sees it, at the moment of the call.</summary>
public readonly record struct TidegateKeyStatus
{
    internal TidegateKeyStatus(in NativeKeyStatus from)
    {
        Basis = (TidegateBasis)from.Basis;
        RatePerSecond = from.RateMicro / 1e6;
        Burst = Interop.Count(from.Burst);
        ShareRatePerSecond = from.ShareRateMicro / 1e6;
        ShareBurst = Interop.Count(from.ShareBurst);
        Remaining = Interop.Count(from.Remaining);
        Granted = Interop.Count(from.Granted);
        Refused = Interop.Count(from.Refused);
        Processes = from.Processes;
        Waiting = from.Waiting;
    }

    /// <summary>What a decision would rest on.</summary>
    public TidegateBasis Basis { get; }

    /// <summary>Rate of the whole limit, in permits per second.</summary>
    public double RatePerSecond { get; }

    /// <summary>Burst of the whole limit, in permits.</summary>
    public long Burst { get; }

    /// <summary>This process's share of the rate, in permits per second.</summary>
    public double ShareRatePerSecond { get; }

    /// <summary>This process's share of the burst, in permits, rounded down.</summary>
    public long ShareBurst { get; }

    /// <summary>Permits left in the share, rounded down.</summary>
    public long Remaining { get; }

    /// <summary>Permits granted by this process.</summary>
    public long Granted { get; }

    /// <summary>Permits refused by this process.</summary>
    public long Refused { get; }

    /// <summary>Processes that hold or want something of it; 0 = not known yet.</summary>
    public long Processes { get; }

    /// <summary>Blocking calls of <see cref="TidegateKey.Acquire"/> that wait, in this process.</summary>
    public long Waiting { get; }
}

/// <summary>What the storage knows about itself.</summary>
public readonly record struct TidegateStorageInfo
{
    internal TidegateStorageInfo(in NativeStorageInfo from)
    {
        Backend = (TidegateStorage)from.Backend;
        IsShared = from.IsShared != 0;
        IsPersistent = from.IsPersistent != 0;
        Partitions = (int)from.Partitions;
        Replication = (int)from.Replication;
        AppendP50 = Interop.Time(from.AppendP50Ns);
        AppendP99 = Interop.Time(from.AppendP99Ns);
        AckAge = from.AckAgeNs == ulong.MaxValue ? null : Interop.Time(from.AckAgeNs);
    }

    /// <summary>Which storage it is.</summary>
    public TidegateStorage Backend { get; }

    /// <summary>Whether other processes share it.</summary>
    public bool IsShared { get; }

    /// <summary>Whether it outlives the processes.</summary>
    public bool IsPersistent { get; }

    /// <summary>Partitions of the log; 0 until known.</summary>
    public int Partitions { get; }

    /// <summary>Copies of each partition; 0 until known.</summary>
    public int Replication { get; }

    /// <summary>Median time from append to acknowledgement, over the last 1024; zero before the first.</summary>
    public TimeSpan AppendP50 { get; }

    /// <summary>The same, 99th percentile.</summary>
    public TimeSpan AppendP99 { get; }

    /// <summary>Time since the last acknowledgement; null before the first.</summary>
    public TimeSpan? AckAge { get; }
}

/// <summary>How well a runtime is.</summary>
/// <param name="State">In one word.</param>
/// <param name="Message">What is wrong, and what decisions rest on now.</param>
public readonly record struct TidegateHealth(TidegateHealthState State, string Message);

/// <summary>
/// Counters of a runtime. All but <see cref="Keys"/>, <see cref="Waiting"/>, <see cref="PartitionsFollowed"/> and
/// <see cref="SessionsValid"/> only grow, those of permits over the live keys.
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
}
