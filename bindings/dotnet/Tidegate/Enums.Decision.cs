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

    /// <summary>Nothing: a circuit breaker is open, and refuses unasked.</summary>
    Breaker = 5,

    /// <summary>The limit would have refused, but is in shadow mode.</summary>
    Shadow = 6,
}
