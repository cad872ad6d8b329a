namespace Tidegate;

/// <summary>One of the limits that a limiter keeps at once: all of them give, or none does.</summary>
/// <param name="Name">For people; each tier has another.</param>
/// <param name="Limit">Rate and burst of each bucket.</param>
/// <param name="Scope">
/// The dimension whose every value has a bucket of its own, such as "topic"; null = one bucket for everybody.
/// </param>
/// <param name="Weight">What one permit costs here; 1 to 1,000,000.</param>
public readonly record struct TidegateTier(string Name, TidegateLimit Limit, string? Scope = null, long Weight = 1);
