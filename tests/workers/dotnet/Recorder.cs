using System.Buffers.Binary;

namespace Tidegate.Worker;

/// <summary>Writes one record for each grant; what is buffered reaches the file every 25 ms, so that kill -9 loses little.</summary>
internal sealed class Recorder : IDisposable
{
    private const int RecordBytes = 24;

    private readonly FileStream? _file;
    private readonly Timer _timer;
    private readonly byte[] _buffer = new byte[RecordBytes * 4_096];
    private int _used;

    internal Recorder(string? path)
    {
        // No buffer of its own: what is flushed is in the kernel's hands.
        _file = path is null ? null : new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        _timer = new(_ => Flush(), null, 25, 25);
    }

    internal void Add(ulong before, ulong after, ulong permits)
    {
        if (_file is null)
        {
            return;
        }
        lock (_buffer)
        {
            if (_used == _buffer.Length)
            {
                Flush();
            }
            Span<byte> record = _buffer.AsSpan(_used, RecordBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(record, before);
            BinaryPrimitives.WriteUInt64LittleEndian(record[8..], after);
            BinaryPrimitives.WriteUInt64LittleEndian(record[16..], permits);
            _used += RecordBytes;
        }
    }

    public void Dispose()
    {
        _timer.Dispose();
        Flush();
    }

    private void Flush()
    {
        lock (_buffer)
        {
            _file?.Write(_buffer, 0, _used);
            _used = 0;
        }
    }
}
