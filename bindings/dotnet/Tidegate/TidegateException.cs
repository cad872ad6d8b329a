using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// The library refused a call: not an ordinary no, which is a value (<see cref="TidegateDecision"/>), but a failure.
/// The message names the property or argument and the cure.
/// </summary>
public sealed class TidegateException : Exception
{
    private TidegateException(TidegateStatus status, string message, bool isRetriable)
        : base(message)
    {
        Status = status;
        IsRetriable = isRetriable;
    }

    /// <summary>Which failure it is; never <see cref="TidegateStatus.Ok"/> or an ordinary no.</summary>
    public TidegateStatus Status { get; }

    /// <summary>Whether the same call may succeed later without anything being changed.</summary>
    public bool IsRetriable { get; }

    /// <summary>The failure behind a negative status; frees <paramref name="error"/>, which may be 0.</summary>
    internal static unsafe TidegateException Take(int status, nint error)
    {
        if (error == 0)
        {
            return Of(status);
        }
        try
        {
            string message = Interop.Text(NativeMethods.tidegate_error_message(error));
            bool retriable = NativeMethods.tidegate_error_is_retriable(error) != 0;
            return new((TidegateStatus)NativeMethods.tidegate_error_status(error), message, retriable);
        }
        finally
        {
            NativeMethods.tidegate_error_free(error);
        }
    }

    /// <summary>The failure of a call on a key: those come without a story, so that they allocate nothing.</summary>
    internal static TidegateException Of(int status) => new((TidegateStatus)status, Words(status), isRetriable: false);

    internal static TidegateException Pending() =>
        new(TidegateStatus.Argument, "the reservation is pending: poll it until it is granted, or cancel it", isRetriable: false);

    private static string Words(int status) => (TidegateStatus)status switch
    {
        TidegateStatus.Argument => "permits must be at least 1",
        TidegateStatus.Closed => "the runtime was closed",
        TidegateStatus.Capacity => "too many calls wait for this key",
        TidegateStatus.Stale => "the key was released, its runtime was closed, or the reservation was used",
        TidegateStatus.Forked => "the key belongs to the process that this one was forked from: open a runtime here",
        TidegateStatus.Bug => "a panic inside Tidegate; please report it with the program's standard error",
        _ => TidegateLibrary.StatusName((TidegateStatus)status),
    };
}
