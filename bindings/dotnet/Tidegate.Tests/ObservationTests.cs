using System.Text.Json;

namespace Tidegate.Tests;

public sealed class ObservationTests : IDisposable
{
    private readonly TidegateRuntime _runtime = Setup.Open();

    public void Dispose() => _runtime.Dispose();

    [Fact]
    public void Memory_says_that_it_is_shared_with_nobody_and_survives_nothing()
    {
        TidegateStorageInfo info = _runtime.StorageInfo;
        Assert.Equal((TidegateStorage.Memory, false, false), (info.Backend, info.IsShared, info.IsPersistent));
        Assert.Null(info.AckAge);
    }

    [Fact]
    public void Metrics_count_permits_and_live_keys()
    {
        TidegateKey key = _runtime.CreateLimiter("orders", Setup.Still(burst: 5)).GetKey("a");
        Assert.True(key.TryAcquire(5));
        Assert.False(key.TryAcquire(2));
        TidegateMetrics metrics = _runtime.Metrics();
        Assert.Equal((1, 5, 2, 0), (metrics.Keys, metrics.PermitsGranted, metrics.PermitsRefused, metrics.PermitsAllowed));
        key.Release();
        Assert.Equal(0, _runtime.Metrics().Keys);
    }

    [Fact]
    public void A_snapshot_is_one_json_object_with_health_storage_and_metrics()
    {
        using JsonDocument snapshot = JsonDocument.Parse(_runtime.SnapshotJson());
        Assert.Equal(
            ["health", "metrics", "storage"], snapshot.RootElement.EnumerateObject().Select(p => p.Name).Order());
    }

    [Fact]
    public void The_library_names_itself_and_its_statuses()
    {
        Assert.Matches(@"^\d+\.\d+\.\d+", TidegateLibrary.Version);
        Assert.Equal("TIDEGATE_E_STALE", TidegateLibrary.StatusName(TidegateStatus.Stale));
        Assert.NotEqual("TIDEGATE_E_STALE", TidegateLibrary.StatusName((TidegateStatus)77));
    }
}
