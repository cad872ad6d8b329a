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
        Pace = from.PacePpm / 1e6;
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

    /// <summary>What of its rate it refills with now: less than 1 where it follows a lag or outcomes, 0 where it stands still.</summary>
    public double Pace { get; }
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
