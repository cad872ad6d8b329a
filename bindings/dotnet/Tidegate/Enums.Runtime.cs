namespace Tidegate;

/// <summary>How well a runtime is.</summary>
public enum TidegateHealthState
{
    /// <summary>Decisions are made from shares that are renewed, or from local limits.</summary>
    Ok = 0,

    /// <summary>The log was not reached or read yet.</summary>
    Connecting = 1,

    /// <summary>Something is wrong, and decisions follow the outage policy.</summary>
    Degraded = 2,

    /// <summary>Sharing cannot go on until somebody acts.</summary>
    Failed = 3,

    /// <summary>The runtime was closed.</summary>
    Closed = 4,
}

/// <summary>Where a runtime keeps its shares.</summary>
public enum TidegateStorage
{
    /// <summary>This process alone.</summary>
    Memory = 1,

    /// <summary>Apache Kafka.</summary>
    Kafka = 2,
}

/// <summary>What a build of the native library can do.</summary>
[Flags]
public enum TidegateFeatures : long
{
    /// <summary>Nothing beyond the ABI.</summary>
    None = 0,

    /// <summary>It has the Kafka storage.</summary>
    Kafka = 1,
}

/// <summary>What a limit has to say.</summary>
public enum TidegateEventKind
{
    /// <summary>A limit with backpressure began to refuse: slow down.</summary>
    PressureOn = 1,

    /// <summary>Half of its burst is there again: go on.</summary>
    PressureOff = 2,

    /// <summary>A circuit breaker opened.</summary>
    BreakerOpened = 3,

    /// <summary>It lets one request through.</summary>
    BreakerHalfOpen = 4,

    /// <summary>It closed.</summary>
    BreakerClosed = 5,

    /// <summary>A consumer is too far behind: the limit does not refill.</summary>
    Paused = 6,

    /// <summary>It refills again.</summary>
    Resumed = 7,
}
