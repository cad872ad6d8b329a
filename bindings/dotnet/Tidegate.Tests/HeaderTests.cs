using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Tidegate.Native;

namespace Tidegate.Tests;

/// <summary>include/tidegate.h is the truth: constants, structs and functions here are compared with it.</summary>
public sealed partial class HeaderTests
{
    private static readonly string Header = File.ReadAllText(Path.Combine(Setup.Root, "include", "tidegate.h"));

    private static readonly Dictionary<string, Type> Enums = new()
    {
        ["LIMIT"] = typeof(TidegateLimitKind),
        ["OUTAGE"] = typeof(TidegateOutage),
        ["MODE"] = typeof(TidegateMode),
        ["ENFORCE"] = typeof(TidegateEnforcementKind),
        ["LAG"] = typeof(TidegateLagUnit),
        ["EVENT"] = typeof(TidegateEventKind),
        ["BASIS"] = typeof(TidegateBasis),
        ["HEALTH"] = typeof(TidegateHealthState),
        ["STORAGE"] = typeof(TidegateStorage),
        ["FEATURE"] = typeof(TidegateFeatures),
        [""] = typeof(TidegateStatus),
    };

    private static readonly Dictionary<string, Type> Structs = new()
    {
        ["tidegate_limit_t"] = typeof(NativeLimit),
        ["tidegate_decision_t"] = typeof(TidegateDecision),
        ["tidegate_key_status_t"] = typeof(NativeKeyStatus),
        ["tidegate_storage_info_t"] = typeof(NativeStorageInfo),
        ["tidegate_metrics_t"] = typeof(NativeMetrics),
        ["tidegate_tier_t"] = typeof(NativeTier),
        ["tidegate_scope_t"] = typeof(NativeScope),
        ["tidegate_adaptive_t"] = typeof(NativeAdaptive),
    };

    [Fact]
    public void Every_constant_is_the_one_of_the_header() => Assert.Empty(ConstantDifferences(Header));

    [Theory]
    [InlineData("#define TIDEGATE_E_STALE -6", "#define TIDEGATE_E_STALE -16")]
    [InlineData("#define TIDEGATE_BASIS_ALLOWED 3", "")]
    [InlineData("#define TIDEGATE_EVENT_RESUMED 7", "#define TIDEGATE_EVENT_RESUMED 8")]
    [InlineData("#define TIDEGATE_LAG_MS 2", "#define TIDEGATE_LAG_S 2")]
    [InlineData("#define TIDEGATE_OK 0", "#define TIDEGATE_OK 0\n#define TIDEGATE_OUTAGE_NEW 9")]
    public void A_constant_that_differs_is_found(string from, string to) =>
        Assert.NotEmpty(ConstantDifferences(Replaced(from, to)));

    [Fact]
    public void Every_struct_is_the_one_of_the_header() => Assert.Empty(StructDifferences(Header));

    [Theory]
    [InlineData("uint16_t tier", "uint32_t tier")]
    [InlineData("uint64_t granted", "uint64_t given")]
    [InlineData("  uint64_t gaps;", "  uint64_t gaps;\n  uint64_t more;")]
    [InlineData("} tidegate_limit_t;", "} tidegate_other_t;")]
    [InlineData("uint64_t max_wait_ns;", "uint32_t max_wait_ns;")]
    [InlineData("uint32_t cut_ppm;\n", "\n")]
    public void A_struct_that_differs_is_found(string from, string to) =>
        Assert.NotEmpty(StructDifferences(Replaced(from, to)));

    [Fact]
    public void Every_function_of_the_header_is_there_with_its_parameters_and_no_other()
    {
        Assert.Empty(FunctionDifferences(Header));
        Assert.Equal(NativeMethods.AbiVersion, (uint)TidegateLibrary.AbiVersion);
        Assert.Contains($"#define TIDEGATE_ABI_VERSION {NativeMethods.AbiVersion}\n", Header, StringComparison.Ordinal);
        Assert.Contains($"#define TIDEGATE_TIERS_MAX {NativeMethods.TiersMax}\n", Header, StringComparison.Ordinal);
        Assert.Contains($"#define TIDEGATE_SCOPES_MAX {NativeMethods.ScopesMax}\n", Header, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("void tidegate_config_free(", "void tidegate_config_drop(")]
    [InlineData("uint32_t tidegate_event_tier(", "uint32_t tidegate_event_level(")]
    [InlineData("tidegate_key_release(uint64_t key)", "tidegate_key_release(uint64_t key, uint32_t how)")]
    public void A_function_that_differs_is_found(string from, string to) =>
        Assert.NotEmpty(FunctionDifferences(Replaced(from, to)));

    private static string Replaced(string from, string to)
    {
        Assert.Contains(from, Header, StringComparison.Ordinal);
        return Header.Replace(from, to, StringComparison.Ordinal);
    }

    private static List<string> ConstantDifferences(string header)
    {
        IEnumerable<string> theirs = Define().Matches(header)
            .Select(m => (Name: m.Groups[1].Value, Value: m.Groups[2].Value))
            .Where(define => !define.Name.StartsWith("VERSION_", StringComparison.Ordinal)
                && define.Name is not ("ABI_VERSION" or "TIERS_MAX" or "SCOPES_MAX"))
            .Select(define => $"{define.Name} = {define.Value}");
        IEnumerable<string> ours = Enums.SelectMany(pair => Enum.GetValues(pair.Value).Cast<Enum>()
            .Where(value => !value.Equals(TidegateFeatures.None))
            .Select(value => $"{Prefix(pair.Key, value)}{Upper($"{value}")} = {value:D}")
            .Select(line => line.Replace("LAG_MILLISECONDS", "LAG_MS", StringComparison.Ordinal)));
        return Differences(theirs, ours);
    }

    private static string Prefix(string of, Enum value) =>
        of.Length > 0 ? $"{of}_" : Convert.ToInt64(value, CultureInfo.InvariantCulture) < 0 ? "E_" : "";

    private static List<string> StructDifferences(string header)
    {
        List<string> theirs = [];
        foreach (Match match in Struct().Matches(header))
        {
            int offset = 0;
            foreach (Match field in Field().Matches(match.Groups[1].Value))
            {
                bool isPointer = field.Groups[1].Value.Length == 0;
                int size = isPointer ? 8 : int.Parse(field.Groups[1].Value, CultureInfo.InvariantCulture) / 8;
                offset = (offset + size - 1) / size * size;
                theirs.Add($"{match.Groups[2].Value}.{field.Groups[2].Value} at {offset}, {size} bytes");
                offset += size;
            }
            theirs.Add($"{match.Groups[2].Value} has {(offset + 7) / 8 * 8}");
        }
        List<string> ours = [];
        foreach ((string name, Type type) in Structs)
        {
            ours.AddRange(type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
                .Select(field => $"{name}.{Lower(field.Name)} at {Marshal.OffsetOf(type, field.Name)}, "
                    + $"{(field.FieldType.IsPointer ? 8 : Marshal.SizeOf(field.FieldType))} bytes"));
            ours.Add($"{name} has {Marshal.SizeOf(type)}");
        }
        return Differences(theirs, ours);
    }

    private static List<string> FunctionDifferences(string header)
    {
        IEnumerable<string> theirs = Function().Matches(header).Select(m =>
            $"{m.Groups[1].Value}/{(m.Groups[2].Value == "void" ? 0 : m.Groups[2].Value.Count(c => c == ',') + 1)}");
        IEnumerable<string> ours = typeof(NativeMethods)
            .GetMethods(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            .Where(method => method.Name.StartsWith("tidegate_", StringComparison.Ordinal))
            .Select(method => $"{method.Name}/{method.GetParameters().Length}");
        return Differences(theirs, ours);
    }

    private static List<string> Differences(IEnumerable<string> theirs, IEnumerable<string> ours)
    {
        (HashSet<string> header, HashSet<string> here) = ([.. theirs], [.. ours]);
        Assert.NotEmpty(header);
        return [.. header.Except(here).Select(x => $"only in the header: {x}"),
            .. here.Except(header).Select(x => $"only here: {x}")];
    }

    private static string Upper(string pascal) => Hump().Replace(pascal, "_").ToUpperInvariant();

    private static string Lower(string field) => Hump().Replace(field.TrimStart('_'), "_").ToLowerInvariant();

    [GeneratedRegex(@"^#define TIDEGATE_(\w+) (-?\d+)$", RegexOptions.Multiline)]
    private static partial Regex Define();

    [GeneratedRegex(@"typedef struct \{(.*?)\} (\w+);", RegexOptions.Singleline)]
    private static partial Regex Struct();

    [GeneratedRegex(@"^\s+(?:u?int(\d+)_t |const \w+ \*)(\w+);", RegexOptions.Multiline)]
    private static partial Regex Field();

    [GeneratedRegex(@"^\w[\w ]*[ *](tidegate_\w+)\(([^)]*)\);", RegexOptions.Multiline)]
    private static partial Regex Function();

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex Hump();
}
