using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tidegate;

/// <summary>
/// The keys that a limiter has borrowed for texts. The library ends one that was not used for a while, so nobody gives
/// them back: one that is out of date is found out by its use, and forgotten.
/// </summary>
/// <remarks>
/// A text has <see cref="Ways"/> places, and pushes another out when all are taken and the table has its full size: it is
/// bounded, whatever is asked for. A text that comes for the first time only leaves a mark, so that a caller who sends
/// ever new ones fills neither the table nor the heap. Looking up takes no lock and writes nothing: an entry never changes.
/// </remarks>
internal sealed class BorrowedKeys
{
    /// <summary>Most texts of a limiter.</summary>
    internal const int EntriesMax = 16_384;

    /// <summary>Longer texts are not kept: with the most of them that is 10 MB.</summary>
    internal const int CharsMax = 256;

    private const int Ways = 4;

    // Whoever chooses the texts could choose many that share a place; without this he could even know them beforehand.
    private static readonly ulong Secret = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    private sealed class Entry(string text, ulong hash, ulong key)
    {
        internal readonly string Text = text;
        internal readonly ulong Hash = hash;
        internal readonly ulong Key = key;
    }

    // Replaced as a whole when it grows. Its length is a power of two.
    private Entry?[] _entries = new Entry?[Ways];
    // What was asked for lately and is not in the table. A race costs a text its mark, or gives it one too early.
    private ushort[]? _marks;
    private readonly object _gate = new();
    private bool _closed;
    private uint _turn;

    /// <summary>How many texts are known.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
            {
                return _entries.Count(entry => entry is not null);
            }
        }
    }

    /// <summary>The key of a text; 0 when none is known.</summary>
    internal ulong Find(ReadOnlySpan<char> text, out ulong hash)
    {
        hash = Hash(text);
        Entry?[] entries = _entries;
        int first = (int)hash & (entries.Length - Ways);
        for (int way = 0; way < Ways; way++)
        {
            if (entries[first + way] is { } entry && entry.Hash == hash && text.SequenceEqual(entry.Text))
            {
                return entry.Key;
            }
        }
        return 0;
    }

    /// <summary>Whether a text was asked for lately: then it is worth a key.</summary>
    internal bool CameBefore(ulong hash)
    {
        ushort[] marks = _marks ??= new ushort[EntriesMax];
        ref ushort place = ref marks[(int)hash & (EntriesMax - 1)];
        // Never 0, which is no mark.
        ushort mark = (ushort)(hash >> 48 | 1);
        bool before = place == mark;
        place = mark;
        return before;
    }

    internal void Add(string text, ulong hash, ulong key)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }
            int place;
            while ((place = PlaceFor(_entries, text, hash)) < 0 && _entries.Length < EntriesMax)
            {
                Grow();
            }
            place = place >= 0 ? place : First(_entries, hash) + (int)(_turn++ % Ways);
            _entries[place] = new(text, hash, key);
        }
    }

    /// <summary>A key is out of date.</summary>
    internal void Forget(ulong hash, ulong key)
    {
        lock (_gate)
        {
            Span<Entry?> ways = _entries.AsSpan(First(_entries, hash), Ways);
            for (int way = 0; way < Ways; way++)
            {
                ways[way] = ways[way]?.Key == key ? null : ways[way];
            }
        }
    }

    /// <summary>Forgets all for good: a limiter that is disposed may be referred to for long.</summary>
    internal void Close()
    {
        lock (_gate)
        {
            _closed = true;
            _entries = new Entry?[Ways];
            _marks = null;
        }
    }

    private static int First(Entry?[] entries, ulong hash) => (int)hash & (entries.Length - Ways);

    /// <summary>Where a text stands or can stand; -1 when others have all its places.</summary>
    private static int PlaceFor(Entry?[] entries, string text, ulong hash)
    {
        int first = First(entries, hash);
        int free = -1;
        for (int place = first; place < first + Ways; place++)
        {
            if (entries[place]?.Text == text)
            {
                return place;
            }
            free = entries[place] is null && free < 0 ? place : free;
        }
        return free;
    }

    private void Grow()
    {
        Entry?[] larger = new Entry?[2 * _entries.Length];
        foreach (Entry? entry in _entries)
        {
            if (entry is not null)
            {
                // Those who shared four places now share eight.
                larger[PlaceFor(larger, entry.Text, entry.Hash)] = entry;
            }
        }
        _entries = larger;
    }

    /// <summary>
    /// After wyhash: 8 characters with each multiplication, the last ones twice where they are no multiple of it. .NET's
    /// own takes three times as long, half of what a decision by text costs.
    /// </summary>
    private static ulong Hash(ReadOnlySpan<char> text)
    {
        ref char at = ref MemoryMarshal.GetReference(text);
        int left = text.Length;
        ulong hash = Secret ^ (uint)left;
        for (; left > 8; left -= 8)
        {
            hash = Mix(Four(ref at, 0), Four(ref at, 4) ^ hash);
            at = ref Unsafe.Add(ref at, 8);
        }
        if (left >= 4)
        {
            return Mix(Mix(Four(ref at, 0), Four(ref at, left - 4) ^ hash), Secret);
        }
        ulong rest = 0;
        for (int i = 0; i < left; i++)
        {
            rest = rest << 16 | Unsafe.Add(ref at, i);
        }
        return Mix(Mix(rest, hash), Secret);
    }

    private static ulong Four(ref char at, int offset) =>
        Unsafe.ReadUnaligned<ulong>(ref Unsafe.As<char, byte>(ref Unsafe.Add(ref at, offset)));

    private static ulong Mix(ulong one, ulong other)
    {
        ulong high = Math.BigMul(one ^ 0x9E37_79B9_7F4A_7C15, other, out ulong low);
        return high ^ low;
    }
}
