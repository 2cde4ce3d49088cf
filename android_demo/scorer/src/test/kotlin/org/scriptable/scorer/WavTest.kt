package org.scriptable.scorer

import java.io.ByteArrayInputStream
import kotlin.random.Random
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class WavTest {
    private fun read(file: ByteArray) = Wav.read(ByteArrayInputStream(file))

    private fun refusal(file: ByteArray): String =
        assertThrows(AudioException::class.java) { read(file) }.message!!

    @Test
    fun readsSamplesAndFormat() {
        val wav = read(riff(pcm(1, -2, 32767, -32768), rate = 44100, channels = 2))
        assertEquals(44100, wav.sampleRate)
        assertEquals(2, wav.channels)
        assertArrayEquals(shortArrayOf(1, -2, 32767, -32768), wav.samples)
    }

    @Test
    fun skipsChunksOfOddLength() {
        val list = "LIST".toByteArray() + byteArrayOf(3, 0, 0, 0, 9, 9, 9, 0)
        assertArrayEquals(shortArrayOf(7), read(riff(pcm(7), before = list)).samples)
    }

    @Test
    fun readsTheExtensibleHeader() {
        val plain = riff(pcm(7, 8))
        val extra = ByteArray(24).also { it[0] = 22; it[8] = 1 }
        val file = plain.copyOf(36) + extra + plain.copyOfRange(36, plain.size)
        file[16] = 40
        file[20] = 0xFE.toByte()
        file[21] = 0xFF.toByte()
        assertArrayEquals(shortArrayOf(7, 8), read(file).samples)
    }

    @Test
    fun readsToTheEndWhereTheWriterStreamed() {
        assertArrayEquals(shortArrayOf(7, 8), read(riff(pcm(7, 8), promised = -1)).samples)
    }

    @Test
    fun saysWhatIsWrong() {
        assertEquals("not a WAV file", refusal(ByteArray(64)))
        assertEquals("truncated: 12 bytes of its header are missing", refusal(ByteArray(0)))
        assertEquals("truncated: 2 bytes of its audio are missing", refusal(riff(pcm(1), promised = 4)))
        assertEquals("contains no samples", refusal(riff(pcm())))
        assertEquals("expected 16-bit PCM, got format 3 of 32 bits", refusal(riff(pcm(1, 2), bits = 32, format = 3)))
        assertEquals("WAV header: 0 channels at 16000 Hz", refusal(riff(pcm(1), channels = 0)))
        assertTrue(refusal(riff(pcm(1), promised = Wav.MAX_BYTES + 2)).startsWith("more than 16 MiB"))
    }

    @Test
    fun everyMutatedHeaderIsReadOrRefused() {
        val random = Random(1)
        val whole = riff(pcm(1, 2, 3, 4), channels = 2)
        var refused = 0
        repeat(2000) {
            val file = whole.copyOf()
            repeat(1 + random.nextInt(4)) { file[random.nextInt(44)] = random.nextInt().toByte() }
            val cut = file.copyOf(random.nextInt(file.size + 1))
            try {
                assertTrue(read(cut).samples.isNotEmpty())
            } catch (_: AudioException) {
                refused++
            }
        }
        assertTrue("$refused of 2000", refused in 1000..1999)
    }

    @Test
    fun mixesDownAndScales() {
        assertArrayEquals(
            floatArrayOf(0.5f, -1.0f),
            decodePcm16(shortArrayOf(32767, 1, -32768, -32768), 4, 2, 32768),
            0.0f,
        )
        assertArrayEquals(floatArrayOf(1.5f), decodePcm16(shortArrayOf(3, 9), 1, 1, 2), 0.0f)
    }
}
