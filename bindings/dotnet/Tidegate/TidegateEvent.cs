using Tidegate.Native;

namespace Tidegate;

/// <summary>Something that a limit has to say beyond its decisions: see <see cref="TidegateRuntime.NextEvent"/>.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Limiter">The name of the limiter.</param>
/// <param name="Tier">The index of the tier; <see cref="TidegateLimiter.TierName"/> has its name.</param>
/// <param name="Value">The scope value of the bucket; "" for what concerns all of them.</param>
/// <param name="Dropped">Events before this one that were dropped because nobody took them.</param>
public readonly record struct TidegateEvent(
    TidegateEventKind Kind, string Limiter, int Tier, string Value, long Dropped)
{
    /// <summary>Copies an event of the library's and frees it.</summary>
    internal static unsafe TidegateEvent Take(nint happened)
    {
        try
        {
            return new(
                (TidegateEventKind)NativeMethods.tidegate_event_kind(happened),
                Interop.Text(NativeMethods.tidegate_event_limiter(happened)),
                (int)NativeMethods.tidegate_event_tier(happened),
                Interop.Text(NativeMethods.tidegate_event_value(happened)),
                Interop.Count(NativeMethods.tidegate_event_dropped(happened)));
        }
        finally
        {
            NativeMethods.tidegate_event_free(happened);
        }
    }
}
