using Tidegate.Native;

namespace Tidegate;

/// <summary>Which native library is loaded. The first use of anything in Tidegate loads it.</summary>
/// <remarks>
/// It is looked for in this order: the file named by the environment variable TIDEGATE_LIBRARY and no other;
/// <c>runtimes/linux-x64/native</c> and the program's own folder; <c>target/release</c> of the source checkout that the
/// program stands in; where .NET looks. <see cref="DllNotFoundException"/> says what was tried, and also that a library
/// has another ABI.
/// </remarks>
public static unsafe class TidegateLibrary
{
    /// <summary>Its version, such as "0.1.0".</summary>
    public static string Version => Interop.Text(NativeMethods.tidegate_version());

    /// <summary>The number of its ABI: the one that this assembly was made for, or nothing works.</summary>
    public static int AbiVersion => (int)NativeMethods.tidegate_abi_version();

    /// <summary>What this build of it can do.</summary>
    public static TidegateFeatures Features => (TidegateFeatures)NativeMethods.tidegate_features();

    /// <summary>A status as C programs and log files spell it, such as "TIDEGATE_DENIED".</summary>
    public static string StatusName(TidegateStatus status) =>
        Interop.Text(NativeMethods.tidegate_status_name((int)status));
}
