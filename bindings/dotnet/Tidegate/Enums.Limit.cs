namespace Tidegate;

/// <summary>What kind of limit it is.</summary>
public enum TidegateLimitKind
{
    /// <summary>So many permits per period, at most the burst at once.</summary>
    TokenBucket = 1,

    /// <summary>At most so many permits in any period, wherever it begins.</summary>
    SlidingWindow = 2,
}

/// <summary>Whether a limit is kept.</summary>
public enum TidegateMode
{
    /// <summary>It is kept.</summary>
    Enforce = 0,

    /// <summary>
    /// It decides and counts, and refuses nothing: what it would have refused is granted with
    /// <see cref="TidegateBasis.Shadow"/>.
    /// </summary>
    Shadow = 1,
}

/// <summary>What a limit does where it is reached: see <see cref="TidegateEnforcement"/>.</summary>
public enum TidegateEnforcementKind
{
    /// <summary>Refuses.</summary>
    HardLimit = 0,

    /// <summary>Delays up to a longest wait, and refuses at once what takes longer.</summary>
    Throttling = 1,

    /// <summary>Refuses, and tells when that begins and when there is room again.</summary>
    Backpressure = 2,

    /// <summary>Refuses; after many refusals in a row it refuses unasked for a while.</summary>
    CircuitBreaker = 3,
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

/// <summary>What a lag is measured in.</summary>
public enum TidegateLagUnit
{
    /// <summary>Records that the group has not read.</summary>
    Records = 1,

    /// <summary>The age of the oldest record that the group has not read, in milliseconds.</summary>
    Milliseconds = 2,
}
