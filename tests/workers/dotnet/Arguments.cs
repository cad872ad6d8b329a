using System.Globalization;

namespace Tidegate.Worker;

/// <summary>The arguments of ../README.md.</summary>
internal sealed record Arguments
{
    internal TidegateOptions Options { get; } = [];
    internal string Limiter { get; private set; } = "";
    internal string Key { get; private set; } = "";
    internal long Permits { get; private set; } = 1;
    internal double PeriodMs { get; private set; } = 1_000;
    internal long Burst { get; private set; }
    internal double Seconds { get; private set; }
    internal bool Waits { get; private set; }
    internal ulong Pace { get; private set; }
    internal string? Out { get; private set; }

    internal TidegateLimit Limit => TidegateLimit.TokenBucket(Permits, TimeSpan.FromMilliseconds(PeriodMs), Burst);

    internal static Arguments Parse(string[] args)
    {
        Arguments parsed = new();
        for (int i = 0; i < args.Length; i += 2)
        {
            parsed.Take(args[i], i + 1 < args.Length
                ? args[i + 1] : throw new ArgumentException($"{args[i]} needs a value"));
        }
        return parsed;
    }

    private void Take(string name, string value)
    {
        switch (name)
        {
            case "--bootstrap-servers": Options.BootstrapServers = value; break;
            case "--topic": Options.Topic = value; break;
            case "--ttl-ms": Options["ttl.ms"] = value; break;
            case "--on-outage": Options["on.outage"] = value; break;
            case "--set":
                string[] parts = value.Split('=', 2);
                Options[parts[0]] = parts.Length == 2 ? parts[1] : throw new ArgumentException("--set NAME=VALUE");
                break;
            case "--limiter": Limiter = value; break;
            case "--key": Key = value; break;
            case "--permits": Permits = long.Parse(value, CultureInfo.InvariantCulture); break;
            case "--period-ms": PeriodMs = double.Parse(value, CultureInfo.InvariantCulture); break;
            case "--burst": Burst = long.Parse(value, CultureInfo.InvariantCulture); break;
            case "--seconds": Seconds = double.Parse(value, CultureInfo.InvariantCulture); break;
            case "--mode": Waits = value switch { "wait" => true, "spin" => false, _ => throw new ArgumentException("--mode spin|wait") }; break;
            case "--pace": Pace = ulong.Parse(value, CultureInfo.InvariantCulture); break;
            case "--out": Out = value; break;
            default: throw new ArgumentException($"{name} is no argument of a worker");
        }
    }
}
