// The walkthrough of ../README.md in C#: prints the lines of ../expected.txt.
using Tidegate;

string Name(TidegateStatus status) => TidegateLibrary.StatusName(status).Replace("TIDEGATE_", "", StringComparison.Ordinal);

string Failure(Action act)
{
    try
    {
        act();
        return "no failure";
    }
    catch (TidegateException failure)
    {
        return TidegateLibrary.StatusName(failure.Status);
    }
}

Console.WriteLine($"version {TidegateLibrary.Version}, ABI {TidegateLibrary.AbiVersion}");
Console.WriteLine("unknown property: "
    + Failure(() => TidegateRuntime.Open(new TidegateOptions { ["no.such.property"] = "1" }).Dispose()));

using TidegateRuntime runtime = TidegateRuntime.Open(new TidegateOptions { Storage = "memory" });
TidegateStorageInfo storage = runtime.StorageInfo;
Console.WriteLine($"storage: {(storage.Backend == TidegateStorage.Memory ? "memory" : "kafka")}, "
    + $"shared: {(storage.IsShared ? "yes" : "no")}, persistent: {(storage.IsPersistent ? "yes" : "no")}");

TidegateLimit limit = TidegateLimit.TokenBucket(permits: 5, TimeSpan.FromSeconds(1), burst: 5);
using TidegateLimiter limiter = runtime.CreateLimiter("walkthrough", limit);
Console.WriteLine($"limiter \"{limiter.Name}\": {limiter.Limit.Permits} permits per "
    + $"{limiter.Limit.Period.TotalMilliseconds:F0} ms, burst {limiter.Limit.Burst}");
TidegateKey key = limiter.GetKey("tenant-1");

int acquired = 0;
for (int i = 0; i < 5; i++)
{
    acquired += key.TryAcquire() ? 1 : 0;
}
Console.WriteLine($"acquired {acquired} of 5");
key.TryAcquire(1, out TidegateDecision sixth);
bool soon = sixth.RetryAfter > TimeSpan.Zero && sixth.RetryAfter <= TimeSpan.FromMilliseconds(200);
Console.WriteLine($"sixth: {Name(sixth.Status)}, retry within 200 ms: {(soon ? "yes" : "no")}");
Console.WriteLine($"peek: {Name(key.Peek().Status)}");
Console.WriteLine($"acquire with a timeout of 2 s: {Name(key.Acquire(1, TimeSpan.FromSeconds(2)).Status)}");
TidegateDecision five = await key.AcquireAsync(5, TimeSpan.FromMilliseconds(1));
Console.WriteLine($"acquire with a timeout of 1 ms for 5: {Name(five.Status)}");
key.TryAcquire(6, out TidegateDecision six);
Console.WriteLine($"six at once: {Name(six.Status)}");
Console.WriteLine($"zero: {Failure(() => key.TryAcquire(0))}");
Console.WriteLine($"granted by this process: {key.Status().Granted}");
key.Release();
Console.WriteLine($"released twice: {Failure(key.Release)}");
Console.WriteLine($"health: {(runtime.Health.State == TidegateHealthState.Ok ? "ok" : runtime.Health.Message)}");
await runtime.CloseAsync(TimeSpan.FromSeconds(5));
