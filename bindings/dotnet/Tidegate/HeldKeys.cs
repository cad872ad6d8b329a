using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tidegate;

/// <summary>
/// The keys that a limiter holds for texts that come again. Whoever takes a key out of here gives it back.
/// </summary>
/// <remarks>
/// A text stands in one of a few neighbouring places, and pushes another out when all texts there may be are known: the
/// table is bounded, and so are the keys, whatever is asked for. A text that comes for the first time only leaves a mark, so
/// that a caller who sends ever new ones fills neither the table nor the heap. Looking up takes no lock and writes nothing:
/// an entry never changes. So a key may be given back under somebody who has just found it: it is out of date then, which its
/// use tells.
/// </remarks>
internal sealed class HeldKeys
{
    /// <summary>Most texts of a limiter.</summary>
    internal const int EntriesMax = 16_384;

    /// <summary>Longer texts are not kept: with the most of them that is 10 MB.</summary>
    internal const int CharsMax = 256;

    /// <summary>Places in which a text may stand. With half of all taken, three texts in ten thousand find none free.</summary>
    private const int Window = 16;

    private const int PlacesMax = 2 * EntriesMax;

    // Whoever chooses the texts could choose many that share a place; without this he could even know them beforehand.
    private static readonly ulong Secret = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    private sealed class Entry(string text, ulong hash, ulong key)
    {
        internal readonly string Text = text;
        internal readonly ulong Hash = hash;
        internal readonly ulong Key = key;
    }

    // Replaced as a whole when it grows. Its length is a power of two.
    private Entry?[] _entries = new Entry?[Window];
    private int _count;
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
                return _count;
            }
        }
    }

    /// <summary>The key of a text; 0 when none is known.</summary>
    internal ulong Find(ReadOnlySpan<char> text, out ulong hash)
    {
        hash = Hash(text);
        Entry?[] entries = _entries;
        for (int i = 0; i < Window; i++)
        {
            if (entries[Place(entries, hash, i)] is { } entry && entry.Hash == hash && text.SequenceEqual(entry.Text))
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

    /// <summary>Keeps a key for a text. The key that is to be given back for it, its own or another; 0 = none.</summary>
    internal ulong Add(string text, ulong hash, ulong key)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return key;
            }
            // Early, so that most stand in the first of their places.
            if (4 * _count >= _entries.Length && _entries.Length < PlacesMax && Grown() is { } larger)
            {
                _entries = larger;
            }
            int place = PlaceOf(_entries, text, hash);
            if (place < 0 || (_entries[place] is null && _count == EntriesMax))
            {
                place = PlaceOfAnother(hash);
            }
            if (place < 0)
            {
                return key;
            }
            ulong pushedOut = _entries[place]?.Key ?? 0;
            _count += pushedOut == 0 ? 1 : 0;
            _entries[place] = new(text, hash, key);
            return pushedOut;
        }
    }

    /// <summary>Takes all out, for good if the limiter is disposed: it may be referred to for long.</summary>
    internal ulong[] TakeAll(bool close)
    {
        lock (_gate)
        {
            _closed |= close;
            ulong[] keys = [.. _entries.OfType<Entry>().Select(entry => entry.Key)];
            _entries = new Entry?[Window];
            _count = 0;
            _marks = null;
            return keys;
        }
    }

    private static int Place(Entry?[] entries, ulong hash, int i) => ((int)hash + i) & (entries.Length - 1);

    /// <summary>Where a text stands, or could; -1 when others have all its places.</summary>
    private static int PlaceOf(Entry?[] entries, string text, ulong hash)
    {
        int free = -1;
        for (int i = Window - 1; i >= 0; i--)
        {
            int place = Place(entries, hash, i);
            if (entries[place] is not { } entry)
            {
                free = place;
            }
            else if (entry.Hash == hash && entry.Text == text)
            {
                return place;
            }
        }
        return free;
    }

    /// <summary>A place that is taken, each time another; -1 when there is none.</summary>
    private int PlaceOfAnother(ulong hash)
    {
        for (int i = 0; i < Window; i++)
        {
            int place = Place(_entries, hash, (int)(_turn++ % Window));
            if (_entries[place] is not null)
            {
                return place;
            }
        }
        return -1;
    }

    /// <summary>Twice the places; null where not all who are there would find one.</summary>
    private Entry?[]? Grown()
    {
        Entry?[] larger = new Entry?[2 * _entries.Length];
        foreach (Entry? entry in _entries)
        {
            if (entry is not null)
            {
                int place = PlaceOf(larger, entry.Text, entry.Hash);
                if (place < 0)
                {
                    return null;
                }
                larger[place] = entry;
            }
        }
        return larger;
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
