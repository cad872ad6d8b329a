using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json;

namespace Tidegate.Tests;

/// <summary>The programs that every language has, run as programs.</summary>
public sealed class ProgramTests
{
    private static Process Start(string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, program));
        Array.ForEach(arguments, start.ArgumentList.Add);
        // A net8.0 program runs on a machine that has only a newer runtime.
        start.Environment["DOTNET_ROLL_FORWARD"] = "Major";
        Array.ForEach(environment, pair => start.Environment[pair.Name] = pair.Value);
        return Process.Start(start)!;
    }

    private static (int Code, string Output, string Error) Run(
        string program, string[] arguments, params (string Name, string Value)[] environment)
    {
        using Process process = Start(program, arguments, environment);
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    [KafkaFact]
    public void The_walkthrough_prints_the_lines_that_it_prints_in_every_language()
    {
        string expected = File.ReadAllText(Path.Combine(Setup.Root, "tests", "walkthrough", "expected.txt"));
        (int code, string output, string error) = Run("Walkthrough.dll", []);
        Assert.Equal(expected, output);
        Assert.Equal((0, ""), (code, error));
    }

    [Fact]
    public void A_program_whose_library_is_not_there_fails_and_says_where_it_was_looked_for()
    {
        (int code, _, string error) = Run("Walkthrough.dll", [], ("TIDEGATE_LIBRARY", "/no/such/file.so"));
        Assert.NotEqual(0, code);
        Assert.Contains("TIDEGATE_LIBRARY names '/no/such/file.so'", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("spin")]
    [InlineData("wait")]
    public void A_worker_records_every_grant_and_says_how_many(string mode)
    {
        string file = Path.GetTempFileName();
        try
        {
            (int code, string output, string error) = Run("Worker.dll",
                ["--set", "storage=memory", "--limiter", "orders", "--key", "k", "--permits", "100", "--period-ms", "1000",
                 "--burst", "10", "--seconds", "0.6", "--mode", mode, "--out", file]);
            Assert.True(code == 0, output + error);
            JsonElement[] lines = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => JsonDocument.Parse(line).RootElement)];
            Assert.Equal("ready", lines[0].GetProperty("event").GetString());
            JsonElement tick = lines[1];
            Assert.Equal("tick", tick.GetProperty("event").GetString());
            Assert.Equal(("local", "ok"), (tick.GetProperty("basis").GetString(), tick.GetProperty("health").GetString()));
            Assert.Equal(100, tick.GetProperty("share_rate").GetDouble());
            Assert.Equal("done", lines[^1].GetProperty("event").GetString());

            byte[] records = File.ReadAllBytes(file);
            int granted = lines[^1].GetProperty("granted").GetInt32();
            // The burst and what came in the time; the upper bound is the limit's own over that and a slow start.
            Assert.InRange(granted, 11, 10 + 100 * 30);
            Assert.Equal(granted * 24, records.Length);
            ulong last = 0;
            for (int at = 0; at < records.Length; at += 24)
            {
                ulong before = BinaryPrimitives.ReadUInt64LittleEndian(records.AsSpan(at));
                ulong after = BinaryPrimitives.ReadUInt64LittleEndian(records.AsSpan(at + 8));
                Assert.True(last <= before && before <= after);
                Assert.Equal(1UL, BinaryPrimitives.ReadUInt64LittleEndian(records.AsSpan(at + 16)));
                last = after;
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_worker_ends_cleanly_when_it_is_asked_to()
    {
        using Process process = Start("Worker.dll",
            ["--set", "storage=memory", "--limiter", "orders", "--key", "k", "--permits", "100", "--period-ms", "1000",
             "--burst", "10", "--seconds", "0"]);
        Assert.Equal("""{"event": "ready"}""", process.StandardOutput.ReadLine());
        using Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
        Assert.Contains("\"done\"", process.StandardOutput.ReadToEnd(), StringComparison.Ordinal);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public void A_worker_that_cannot_start_says_why_and_fails()
    {
        (int code, string output, _) = Run("Worker.dll", ["--set", "nonsense=1", "--limiter", "orders", "--key", "k"]);
        Assert.Equal(1, code);
        JsonElement line = JsonDocument.Parse(output).RootElement;
        Assert.Equal("error", line.GetProperty("event").GetString());
        Assert.Contains("nonsense", line.GetProperty("message").GetString(), StringComparison.Ordinal);
    }
}
