using System.Collections;
using System.Globalization;
using Tidegate.Native;

namespace Tidegate;

/// <summary>
/// Properties by name, to open a runtime with: Tidegate's own, and librdkafka's by their own names. The typed ones are
/// spellings of the same, for those that most programs set. What is not set has its default.
/// </summary>
/// <example><code>new TidegateOptions { BootstrapServers = "kafka:9092", ["security.protocol"] = "SASL_SSL" }</code></example>
public sealed class TidegateOptions : IEnumerable<KeyValuePair<string, string>>
{
    private readonly Dictionary<string, string> _properties = new(StringComparer.Ordinal);

    /// <summary>A property by its name; null when it is not set, and to unset it.</summary>
    public string? this[string name]
    {
        get => _properties.GetValueOrDefault(name);
        set
        {
            if (value is null)
            {
                _properties.Remove(name);
            }
            else
            {
                _properties[name] = value;
            }
        }
    }

    /// <summary><c>bootstrap.servers</c>: the brokers, such as "kafka1:9092,kafka2:9092"; null = this process alone.</summary>
    public string? BootstrapServers
    {
        get => this["bootstrap.servers"];
        set => this["bootstrap.servers"] = value;
    }

    /// <summary><c>storage</c>: "memory" or "kafka"; null = kafka if there are brokers.</summary>
    public string? Storage
    {
        get => this["storage"];
        set => this["storage"] = value;
    }

    /// <summary><c>topic</c>: what processes must have in common to share.</summary>
    public string? Topic
    {
        get => this["topic"];
        set => this["topic"] = value;
    }

    /// <summary><c>ttl.ms</c>: silence after which the others take over this process's shares, rounded up to 1 ms.</summary>
    public TimeSpan? TimeToLive
    {
        get => this["ttl.ms"] is { } ms ? TimeSpan.FromMilliseconds(long.Parse(ms, CultureInfo.InvariantCulture)) : null;
        set => this["ttl.ms"] = value is { } time
            ? Math.Ceiling(time.TotalMilliseconds).ToString("F0", CultureInfo.InvariantCulture) : null;
    }

    /// <summary><c>on.outage</c>: what limits do when the log is away, unless they say otherwise.</summary>
    public TidegateOutage OnOutage
    {
        get => this["on.outage"] switch
        {
            "keep_share" => TidegateOutage.KeepShare,
            "deny" => TidegateOutage.Deny,
            "allow" => TidegateOutage.Allow,
            _ => TidegateOutage.Default,
        };
        set => this["on.outage"] = value switch
        {
            TidegateOutage.Default => null,
            TidegateOutage.KeepShare => "keep_share",
            TidegateOutage.Deny => "deny",
            TidegateOutage.Allow => "allow",
            _ => throw new ArgumentOutOfRangeException(nameof(value), value, null),
        };
    }

    /// <summary>Sets a property; for collection initializers.</summary>
    public void Add(string name, string value) => this[name] = value;

    /// <summary>The effective properties, one "name = value" a line, with defaults; secrets are hidden.</summary>
    /// <exception cref="TidegateException">A property is unknown, or its value is not one of its own.</exception>
    public unsafe string Describe()
    {
        using ConfigHandle config = ToNative(this);
        nint text = 0;
        nint error = 0;
        Interop.Check(NativeMethods.tidegate_config_describe(config, &text, &error), error);
        return Interop.TakeText(text);
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => _properties.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    internal static ConfigHandle ToNative(IEnumerable<KeyValuePair<string, string>> properties)
    {
        ConfigHandle config = new();
        try
        {
            foreach ((string name, string value) in properties)
            {
                Set(config, name, value);
            }
            return config;
        }
        catch
        {
            config.Dispose();
            throw;
        }
    }

    private static unsafe void Set(ConfigHandle config, string name, string value)
    {
        ArgumentNullException.ThrowIfNull(value, name);
        using Interop.Utf8 utf8Name = new(name, stackalloc byte[Interop.StackBytes]);
        using Interop.Utf8 utf8Value = new(value, stackalloc byte[Interop.StackBytes]);
        fixed (byte* nameBytes = utf8Name.Bytes, valueBytes = utf8Value.Bytes)
        {
            nint error = 0;
            int status = NativeMethods.tidegate_config_set(
                config, nameBytes, (nuint)utf8Name.Bytes.Length, valueBytes, (nuint)utf8Value.Bytes.Length, &error);
            Interop.Check(status, error);
        }
    }
}
