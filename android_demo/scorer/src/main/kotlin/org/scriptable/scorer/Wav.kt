package org.scriptable.scorer

import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A recording as it lies in the file: 16-bit samples, channels interleaved. */
class Wav(val sampleRate: Int, val channels: Int, val samples: ShortArray) {
    companion object {
        /** Eight minutes of 16 kHz mono: what a phone's heap holds several times over. */
        const val MAX_BYTES = 16 * 1024 * 1024

        /**
         * Reads a RIFF file of 16-bit PCM.
         *
         * @throws AudioException when it is anything else, or ends before its header says.
         */
        fun read(stream: InputStream): Wav = WavReader(stream).read()
    }
}

private const val FORMAT_PCM = 1
private const val FORMAT_EXTENSIBLE = 0xFFFE
private const val FORMAT_BYTES = 16
private const val EXTENSIBLE_BYTES = 40
private const val MAX_FORMAT_BYTES = 4096

/** Writers that stream to a pipe cannot know the length and leave a size of about this. */
private const val STREAMED_SIZE = 0x7FFFF000L

private class WavReader(private val stream: InputStream) {
    private var sampleRate = 0
    private var channels = 0

    fun read(): Wav {
        val header = bytes(12, "header")
        if (name(header, 0) != "RIFF" || name(header, 8) != "WAVE") {
            throw AudioException("not a WAV file")
        }
        while (true) {
            val chunk = bytes(8, "data chunk")
            val size = chunk.getInt(4).toLong() and 0xFFFFFFFFL
            when (name(chunk, 0)) {
                "fmt " -> readFormat(size)
                "data" -> return readData(size)
                else -> skip(size + size % 2)
            }
        }
    }

    private fun readFormat(size: Long) {
        if (size < FORMAT_BYTES || size > MAX_FORMAT_BYTES) {
            throw AudioException("WAV header: format of $size bytes")
        }
        val format = bytes(size.toInt(), "format")
        if (size % 2 == 1L) skip(1)
        val bits = format.getShort(14).toInt()
        val kind = format.getShort(0).toInt() and 0xFFFF
        val pcm = kind == FORMAT_PCM || kind == FORMAT_EXTENSIBLE && isPcm(format)
        if (!pcm || bits != 16) throw AudioException("expected 16-bit PCM, got format $kind of $bits bits")
        channels = format.getShort(2).toInt()
        sampleRate = format.getInt(4)
        if (channels < 1 || sampleRate < 1) {
            throw AudioException("WAV header: $channels channels at $sampleRate Hz")
        }
    }

    private fun isPcm(format: ByteBuffer): Boolean =
        format.capacity() >= EXTENSIBLE_BYTES && format.getShort(24).toInt() == FORMAT_PCM

    private fun readData(size: Long): Wav {
        if (channels == 0) throw AudioException("WAV header: no format before the data")
        // A writer that was stopped, too, leaves the length open.
        val streamed = size >= STREAMED_SIZE || size == 0L
        if (!streamed && size > Wav.MAX_BYTES) throw tooLong()
        val content = if (streamed) rest() else bytes(size.toInt(), "audio").array()
        val frame = 2 * channels
        val whole = content.size / frame * frame
        if (whole == 0) throw AudioException("contains no samples")
        val samples = ShortArray(whole / 2)
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(samples)
        return Wav(sampleRate, channels, samples)
    }

    private fun rest(): ByteArray {
        val content = readAtMost(Wav.MAX_BYTES + 1)
        if (content.size > Wav.MAX_BYTES) throw tooLong()
        return content
    }

    private fun tooLong() = AudioException("more than ${Wav.MAX_BYTES shr 20} MiB of audio; cut it shorter")

    private fun bytes(count: Int, what: String): ByteBuffer {
        val content = readAtMost(count)
        if (content.size < count) {
            throw AudioException("truncated: ${count - content.size} bytes of its $what are missing")
        }
        return ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    }

    /** Grows as it reads, so that a header's promise alone allocates nothing. */
    private fun readAtMost(count: Int): ByteArray {
        var content = ByteArray(minOf(count, 1 shl 16))
        var filled = 0
        while (filled < count) {
            if (filled == content.size) content = content.copyOf(minOf(count.toLong(), filled * 2L).toInt())
            val read = stream.read(content, filled, content.size - filled)
            if (read < 0) break
            filled += read
        }
        return content.copyOf(filled)
    }

    private fun skip(count: Long) {
        var left = count
        while (left > 0) {
            val skipped = stream.skip(left)
            if (skipped > 0) {
                left -= skipped
            } else {
                if (stream.read() < 0) throw AudioException("truncated: no audio follows its header")
                left--
            }
        }
    }

    private fun name(buffer: ByteBuffer, at: Int) = String(buffer.array(), at, 4, Charsets.ISO_8859_1)
}
