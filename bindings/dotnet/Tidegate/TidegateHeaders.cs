using Tidegate.Native;

namespace Tidegate;

/// <summary>What an HTTP server tells its clients of a limit: header fields, by name.</summary>
public static class TidegateHeaders
{
    /// <summary>
    /// The header fields of a decision: <c>RateLimit-Policy</c> and <c>RateLimit</c> (IETF draft 11), and
    /// <c>Retry-After</c> where it was refused. Asks nothing and changes nothing; allocates what it returns.
    /// </summary>
    /// <param name="name">The name of the limit for the client, such as "orders"; what no header may hold is escaped.</param>
    /// <param name="limit">The limit that decided: with tiers, that of <see cref="TidegateDecision.Tier"/>.</param>
    /// <param name="decision">Its answer.</param>
    /// <exception cref="TidegateException">The limit is out of range.</exception>
    public static unsafe IReadOnlyList<KeyValuePair<string, string>> Format(
        string name, TidegateLimit limit, in TidegateDecision decision)
    {
        ArgumentNullException.ThrowIfNull(name);
        NativeLimit native = limit.ToNative();
        nint text = 0;
        nint error = 0;
        using Interop.Utf8 utf8 = new(name, stackalloc byte[Interop.StackBytes]);
        fixed (byte* bytes = utf8.Bytes)
        fixed (TidegateDecision* made = &decision)
        {
            Interop.Check(
                NativeMethods.tidegate_headers_format(bytes, (nuint)utf8.Bytes.Length, &native, made, &text, &error), error);
        }
        string[] lines = Interop.TakeText(text).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        return Array.ConvertAll(lines, Field);
    }

    private static KeyValuePair<string, string> Field(string line)
    {
        int colon = line.IndexOf(": ", StringComparison.Ordinal);
        return new(line[..colon], line[(colon + 2)..]);
    }
}
