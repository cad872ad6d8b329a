using Tidegate.Native;

namespace Tidegate.Tests;

public sealed class InteropTests
{
    [Theory]
    [InlineData(0UL, 0L)]
    [InlineData(1UL, 1L)]
    [InlineData(100UL, 1L)]
    [InlineData(101UL, 2L)]
    [InlineData(ulong.MaxValue - 1, 184467440737095517L)]
    [InlineData(ulong.MaxValue, long.MaxValue)]
    public void Nanoseconds_become_ticks_rounded_up(ulong nanoseconds, long ticks) =>
        Assert.Equal(ticks, Interop.Time(nanoseconds).Ticks);

    [Fact]
    public void Times_become_nanoseconds_and_those_beyond_the_longest_become_the_longest()
    {
        Assert.Equal(1_500_000_000UL, Interop.TimeoutNs(TimeSpan.FromSeconds(1.5), "t"));
        Assert.Equal(ulong.MaxValue, Interop.TimeoutNs(TimeSpan.MaxValue, "t"));
        Assert.Equal(ulong.MaxValue, Interop.TimeoutNs(Timeout.InfiniteTimeSpan, "t"));
        Assert.Equal("t", Assert.Throws<ArgumentOutOfRangeException>(
            () => Interop.TimeoutNs(TimeSpan.FromTicks(-1), "t")).ParamName);
    }

    [Theory]
    [InlineData(0, 0U)]
    [InlineData(0.55, 550_000U)]
    [InlineData(0.000249, 249U)]
    [InlineData(1, 1_000_000U)]
    public void Parts_become_millionths_and_none_is_lost_to_rounding(double part, uint ppm) =>
        Assert.Equal(ppm, Interop.Ppm(part, "p"));

    [Theory]
    [InlineData(-0.0001)]
    [InlineData(1.0001)]
    [InlineData(double.NaN)]
    public void What_is_no_part_is_refused(double part) =>
        Assert.Equal("p", Assert.Throws<ArgumentOutOfRangeException>(() => Interop.Ppm(part, "p")).ParamName);
}
