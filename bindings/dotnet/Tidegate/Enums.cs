namespace Tidegate;

/// <summary>What a call came to: 0 = go or done, above = an ordinary no, below = a failure. The C ABI's numbers.</summary>
public enum TidegateStatus
{
    /// <summary>Go, or done.</summary>
    Ok = 0,

    /// <summary>Not now; <see cref="TidegateDecision.RetryAfter"/> says when to come back.</summary>
    Denied = 1,

    /// <summary>More permits than the limit's burst can ever hold.</summary>
    Never = 2,

    /// <summary>The time-out passed first; nothing was taken.</summary>
    TimedOut = 3,

    /// <summary>Not yet: a reservation stands in line.</summary>
    Pending = 4,

    /// <summary>A value is out of range, or not UTF-8.</summary>
    Argument = -1,

    /// <summary>A property is unknown, has no such value, or contradicts another.</summary>
    Config = -2,

    /// <summary>The runtime was closed.</summary>
    Closed = -3,

    /// <summary>Kafka refused or could not be reached; the same call may succeed later.</summary>
    Storage = -4,

    /// <summary>A named maximum was hit, such as keys.max.</summary>
    Capacity = -5,

    /// <summary>The key was released, or its runtime was closed.</summary>
    Stale = -6,

    /// <summary>This process was forked: open a runtime of its own here.</summary>
    Forked = -7,

    /// <summary>A panic inside Tidegate; that runtime refuses every further call.</summary>
    Bug = -100,
}

/// <summary>What kind of limit it is.</summary>
public enum TidegateLimitKind
{
    /// <summary>So many permits per period, at most the burst at once.</summary>
    TokenBucket = 1,
}

/// <summary>What a limit does when the log is away and a share cannot be renewed.</summary>
public enum TidegateOutage
{
    /// <summary>As the property <c>on.outage</c> says.</summary>
    Default = 0,

    /// <summary>Go on with the last share.</summary>
    KeepShare = 1,

    /// <summary>Refuse.</summary>
    Deny = 2,

    /// <summary>Let everything through, and count it.</summary>
    Allow = 3,
}

/// <summary>What a decision rests on.</summary>
public enum TidegateBasis
{
    /// <summary>A limit of this process alone.</summary>
    Local = 0,

    /// <summary>This process's share of a limit that many processes have.</summary>
    Shared = 1,

    /// <summary>The last share, in an outage, under <see cref="TidegateOutage.KeepShare"/>.</summary>
    KeptShare = 2,

    /// <summary>Nothing, in an outage, under <see cref="TidegateOutage.Allow"/>.</summary>
    Allowed = 3,

    /// <summary>There is no share yet, or no more.</summary>
    NoShare = 4,
}

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
