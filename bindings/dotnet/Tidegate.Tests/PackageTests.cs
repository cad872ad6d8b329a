using System.Diagnostics;
using System.IO.Compression;
using System.Text.RegularExpressions;

namespace Tidegate.Tests;

/// <summary>The package as a stranger gets it: packed, restored into a new project elsewhere, built and run.</summary>
public sealed partial class PackageTests : IDisposable
{
    private static readonly string Bindings = Path.Combine(Setup.Root, "bindings", "dotnet");

    private readonly string _folder = Directory.CreateTempSubdirectory("tidegate-package-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Dotnet(params string[] arguments)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, arguments)
        {
            WorkingDirectory = _folder,
            RedirectStandardOutput = true,
        };
        // A cache of its own: a package of the same version from an earlier run must not be taken for this one.
        start.Environment["NUGET_PACKAGES"] = Path.Combine(_folder, "cache");
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        // What `dotnet test` tells its children must not reach this build.
        start.Environment.Remove("MSBuildSDKsPath");
        start.Environment.Remove("MSBUILD_EXE_PATH");
        start.Environment.Remove("TIDEGATE_LIBRARY");
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}\n{output}");
        return output;
    }

    [Fact]
    public void A_new_project_gets_the_package_and_runs_the_readme_s_example()
    {
        string feed = Path.Combine(_folder, "feed");
        Dotnet("pack", Path.Combine(Bindings, "Tidegate"), "-c", "Release", "-o", feed, "-v", "q");
        string package = Directory.GetFiles(feed, "Tidegate.*.nupkg").Single();
        using (ZipArchive archive = ZipFile.OpenRead(package))
        {
            string[] files = [.. archive.Entries.Select(entry => entry.FullName)];
            Assert.Contains("lib/net8.0/Tidegate.dll", files);
            Assert.Contains("lib/net10.0/Tidegate.dll", files);
            Assert.Contains("lib/net10.0/Tidegate.xml", files);
            Assert.Contains("README.md", files);
            Assert.Contains("runtimes/linux-x64/native/libtidegate.so", files);
        }

        string readme = File.ReadAllText(Path.Combine(Bindings, "README.md"));
        File.WriteAllText(Path.Combine(_folder, "Program.cs"), Example().Match(readme).Groups[1].Value);
        File.WriteAllText(Path.Combine(_folder, "App.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <UseAppHost>false</UseAppHost>
                <DefaultItemExcludes>$(DefaultItemExcludes);cache/**;feed/**</DefaultItemExcludes>
                <RestoreAdditionalProjectSources>{feed}</RestoreAdditionalProjectSources>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Tidegate" Version="*" />
              </ItemGroup>
            </Project>
            """);
        Dotnet("build", "App.csproj", "-c", "Release", "-v", "q", "-o", "out");
        Assert.Equal(
            ["go", "Never: the burst is 2000", "waited for ten: Ok"],
            Dotnet(Path.Combine("out", "App.dll")).Split('\n', StringSplitOptions.RemoveEmptyEntries));
        // It ran on the package's file: without that there is none for a program that stands outside of the checkout.
        File.Delete(Path.Combine(_folder, "out", "runtimes", "linux-x64", "native", "libtidegate.so"));
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => Dotnet(Path.Combine("out", "App.dll")));
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Example();
}
