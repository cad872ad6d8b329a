using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Tidegate.Native;

// Texts on their way in: UTF-8 on the stack where it fits, which is where most names and keys do.
internal static unsafe partial class Interop
{
    /// <summary>Encodes a text on the stack or in a rented buffer; dispose gives that back.</summary>
    internal ref struct Utf8
    {
        private byte[]? _rented;

        internal Utf8(ReadOnlySpan<char> text, Span<byte> stack)
        {
            int most = Strict.GetMaxByteCount(text.Length);
            Span<byte> buffer = most <= stack.Length ? stack : _rented = ArrayPool<byte>.Shared.Rent(most);
            Bytes = buffer[..Strict.GetBytes(text, buffer)];
        }

        internal ReadOnlySpan<byte> Bytes { get; }

        internal void Dispose()
        {
            if (_rented is not null)
            {
                // Values of properties may be secrets.
                ArrayPool<byte>.Shared.Return(_rented, clearArray: true);
                _rented = null;
            }
        }
    }

    /// <summary>
    /// Encodes pairs of texts, such as a context, as C has them: on the stack, or in native memory that dispose frees.
    /// Neither moves, so nothing is pinned.
    /// </summary>
    internal ref struct Context
    {
        private void* _allocated;

        /// <param name="context">Dimensions and their values.</param>
        /// <param name="stack"><see cref="ContextBytes"/> of the caller's stack.</param>
        /// <exception cref="ArgumentException">More dimensions than a context can have, or no text.</exception>
        internal Context(ReadOnlySpan<(string Dimension, string Value)> context, byte* stack)
        {
            int most = MostBytes(context);
            byte* place = most <= ContextBytes ? stack : (byte*)(_allocated = NativeMemory.Alloc((nuint)most));
            Scopes = (NativeScope*)place;
            Count = (uint)context.Length;
            try
            {
                Span<byte> left = new Span<byte>(place, most)[(context.Length * sizeof(NativeScope))..];
                for (int i = 0; i < context.Length; i++)
                {
                    Scopes[i].Dimension = Encode(context[i].Dimension, ref left, out Scopes[i].DimensionLen);
                    Scopes[i].Value = Encode(context[i].Value, ref left, out Scopes[i].ValueLen);
                }
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        internal NativeScope* Scopes { get; }

        internal uint Count { get; }

        internal void Dispose()
        {
            NativeMemory.Free(_allocated);
            _allocated = null;
        }

        private static int MostBytes(ReadOnlySpan<(string Dimension, string Value)> context)
        {
            if (context.Length > NativeMethods.ScopesMax)
            {
                throw new ArgumentException($"a context has at most {NativeMethods.ScopesMax} dimensions", nameof(context));
            }
            int most = context.Length * sizeof(NativeScope);
            foreach ((string dimension, string value) in context)
            {
                ArgumentNullException.ThrowIfNull(dimension);
                ArgumentNullException.ThrowIfNull(value);
                most = checked(most + Strict.GetMaxByteCount(dimension.Length) + Strict.GetMaxByteCount(value.Length));
            }
            return most;
        }

        private static byte* Encode(string text, ref Span<byte> left, out ulong length)
        {
            byte* at = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(left));
            int written = Strict.GetBytes(text, left);
            left = left[written..];
            length = (ulong)written;
            return at;
        }
    }
}
