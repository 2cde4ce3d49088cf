package org.scriptable.scorer

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class WindowsTest {
    private fun cut(length: Int, numSamples: Int, hop: Int): List<List<Int>> =
        cutWindows(FloatArray(length) { it.toFloat() }, WindowContract(numSamples, hop))
            .map { window -> window.map { it.toInt() } }
            .toList()

    @Test
    fun startsFollowTheHopAndTheLastEndsWithTheAudio() {
        assertEquals(listOf(0, 3, 6), windowStarts(10, 4, 3))
        assertEquals(listOf(0, 3, 6, 7), windowStarts(11, 4, 3))
        assertEquals(listOf(0), windowStarts(2, 4, 3))
        assertEquals(listOf(0), windowStarts(4, 4, 3))
        assertThrows(IllegalArgumentException::class.java) { windowStarts(0, 4, 3) }
    }

    @Test
    fun windowsOverlapAndEndWithTheAudio() {
        assertEquals(listOf(listOf(0, 1, 2), listOf(2, 3, 4)), cut(5, 3, 3))
        assertEquals(listOf(listOf(0, 1, 2, 3), listOf(2, 3, 4, 5), listOf(3, 4, 5, 6)), cut(7, 4, 2))
    }

    @Test
    fun shortAudioIsRepeated() {
        assertEquals(listOf(listOf(0, 1, 0, 1, 0)), cut(2, 5, 5))
    }

    @Test
    fun ringKeepsTheLastSamplesInOrder() {
        val ring = RingBuffer(3)
        ring.write(1f)
        ring.write(2f)
        assertThrows(IllegalStateException::class.java) { ring.snapshot() }
        ring.write(3f)
        ring.write(4f)
        assertArrayEquals(floatArrayOf(2f, 3f, 4f), ring.snapshot(), 0f)
        assertEquals(4L, ring.total)
    }
}
