using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Tidegate.Native;

/// <summary>
/// Finds libtidegate and checks its ABI, once, at the first call. In this order: the file that TIDEGATE_LIBRARY names
/// and no other; the package's file beside the program; target/release of the source checkout that the program stands
/// in; what .NET finds by itself.
/// </summary>
internal static unsafe class NativeLoader
{
    internal const string Variable = "TIDEGATE_LIBRARY";

    private static string FileName => OperatingSystem.IsMacOS() ? "libtidegate.dylib"
        : OperatingSystem.IsWindows() ? "tidegate.dll" : "libtidegate.so";

    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "A resolver must be there before the first call, whichever that is.")]
    internal static void Register() =>
        NativeLibrary.SetDllImportResolver(typeof(NativeLoader).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? search)
    {
        if (name != NativeMethods.Library)
        {
            return 0;
        }
        (nint library, string from) = Load(Environment.GetEnvironmentVariable(Variable), assembly, search);
        CheckAbi(library, from);
        return library;
    }

    internal static (nint Library, string From) Load(string? named, Assembly assembly, DllImportSearchPath? search)
    {
        if (!string.IsNullOrEmpty(named))
        {
            // Said explicitly: anything else that might be found would not be what was asked for.
            return TryLoad(named, out nint asked, out string why)
                ? (asked, named)
                : throw new DllNotFoundException($"{Variable} names '{named}', which cannot be loaded: {why}");
        }
        List<string> tried = [];
        foreach (string path in Candidates(AppContext.BaseDirectory))
        {
            tried.Add(path);
            // A file that is there and cannot be loaded is a fault to hear of, not a reason to look further.
            if (File.Exists(path))
            {
                return TryLoad(path, out nint found, out string why)
                    ? (found, path)
                    : throw new DllNotFoundException($"'{path}' cannot be loaded: {why}");
            }
        }
        return NativeLibrary.TryLoad(NativeMethods.Library, assembly, search, out nint library)
            ? (library, FileName)
            : throw new DllNotFoundException(
                $"Tidegate's native library was not found for {RuntimeInformation.RuntimeIdentifier}: looked for "
                + string.Join(", ", tried) + $" and for {FileName} on the system's path. "
                + $"Set {Variable} to the file's full path.");
    }

    internal static IEnumerable<string> Candidates(string folder)
    {
        // The package has this one build for Linux; `RuntimeIdentifier` may be more special, such as debian.12-x64.
        string os = OperatingSystem.IsMacOS() ? "osx" : OperatingSystem.IsWindows() ? "win" : "linux";
        string rid = $"{os}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        yield return Path.Combine(folder, "runtimes", rid, "native", FileName);
        yield return Path.Combine(folder, FileName);
        for (DirectoryInfo? at = new(folder); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "include", "tidegate.h"))
                && File.Exists(Path.Combine(at.FullName, "Cargo.toml")))
            {
                yield return Path.Combine(at.FullName, "target", "release", FileName);
            }
        }
    }

    internal static void CheckAbi(nint library, string from)
    {
        if (!NativeLibrary.TryGetExport(library, nameof(NativeMethods.tidegate_abi_version), out nint address))
        {
            throw new DllNotFoundException($"'{from}' is no Tidegate library: it has no tidegate_abi_version");
        }
        CompareAbi(((delegate* unmanaged[Cdecl]<uint>)address)(), from);
    }

    internal static void CompareAbi(uint found, string from)
    {
        if (found != NativeMethods.AbiVersion)
        {
            throw new DllNotFoundException(
                $"'{from}' has ABI {found}, and this Tidegate assembly was made for ABI {NativeMethods.AbiVersion}; "
                + $"use a library and an assembly of the same release, or set {Variable} to the right file");
        }
    }

    private static bool TryLoad(string path, out nint library, out string why)
    {
        try
        {
            library = NativeLibrary.Load(path);
            why = "";
            return true;
        }
        catch (Exception failure) when (failure is DllNotFoundException or BadImageFormatException)
        {
            library = 0;
            why = failure.Message;
            return false;
        }
    }
}
