using System.Runtime.InteropServices;
using Tidegate.Native;

namespace Tidegate.Tests;

public sealed class LoaderTests
{
    private static string Load(string? named) =>
        NativeLoader.Load(named, typeof(NativeLoader).Assembly, null).From;

    [Fact]
    public void A_checkout_is_found_from_the_folder_of_its_programs()
    {
        Assert.Contains(
            Path.Combine(Setup.Root, "target", "release", "libtidegate.so"), NativeLoader.Candidates(AppContext.BaseDirectory));
        Assert.DoesNotContain(NativeLoader.Candidates("/usr/lib"), path => path.Contains("target", StringComparison.Ordinal));
    }

    [Fact]
    public void The_package_s_file_beside_the_program_comes_first()
    {
        string folder = Path.Combine(Setup.Root, "bindings", "dotnet");
        Assert.Equal(
            Path.Combine(folder, "runtimes", "linux-x64", "native", "libtidegate.so"),
            NativeLoader.Candidates(folder).First());
    }

    [Fact]
    public void A_file_that_is_named_is_taken_and_nothing_else_is_when_it_is_not_there()
    {
        string real = Load(null);
        Assert.Equal(real, Load(""));
        Assert.Equal(real, Load(real));
        DllNotFoundException failure = Assert.Throws<DllNotFoundException>(() => Load("/no/such/file.so"));
        Assert.Contains("TIDEGATE_LIBRARY names '/no/such/file.so'", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_of_another_abi_is_refused_with_both_numbers()
    {
        NativeLoader.CompareAbi(NativeMethods.AbiVersion, "here.so");
        DllNotFoundException failure = Assert.Throws<DllNotFoundException>(() => NativeLoader.CompareAbi(77, "here.so"));
        Assert.Contains("'here.so' has ABI 77", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"ABI {NativeMethods.AbiVersion}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_is_not_tidegate_is_refused()
    {
        nint other = NativeLibrary.Load("libc.so.6");
        Assert.Throws<DllNotFoundException>(() => NativeLoader.CheckAbi(other, "libc.so.6"));
        NativeLoader.CheckAbi(NativeLibrary.Load(Load(null)), "ours");
    }
}
