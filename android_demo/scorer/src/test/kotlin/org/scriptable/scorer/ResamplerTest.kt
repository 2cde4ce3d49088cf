package org.scriptable.scorer

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.sin
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ResamplerTest {
    private fun resampler(source: Int, target: Int) = Resampler(source, target, 6, 0.99)

    /** torchaudio.functional.resample(torch.arange(8) / 8, 2, 3), and 3 to 2. */
    @Test
    fun equalsTorchaudio() {
        val ramp = FloatArray(8) { it / 8f }
        assertArrayEquals(UP, resampler(2, 3).resample(ramp), 2e-7f)
        assertArrayEquals(DOWN, resampler(3, 2).resample(ramp), 2e-7f)
    }

    @Test
    fun keepsATone() {
        val tone = FloatArray(4410) { sin(2 * PI * 440 * it / 44100).toFloat() }
        val resampled = resampler(44100, 16000).resample(tone)
        assertEquals(1600, resampled.size)
        for (index in 100 until 1500) {
            assertEquals(sin(2 * PI * 440 * index / 16000), resampled[index].toDouble(), 2e-3)
        }
    }

    @Test
    fun takesAwayWhatIsAboveTheLowerNyquist() {
        val tone = FloatArray(4410) { sin(2 * PI * 12000 * it / 44100).toFloat() }
        assertTrue(resampler(44100, 16000).resample(tone).drop(100).take(1400).all { abs(it) < 2e-3 })
    }

    @Test
    fun lengthIsRoundedUp() {
        assertEquals(363, resampler(44100, 16000).resample(FloatArray(1000)).size)
        assertEquals(2000, resampler(8000, 16000).resample(FloatArray(1000)).size)
    }

    @Test
    fun refusesRatesWithoutACommonDivisor() {
        assertThrows(AudioException::class.java) { resampler(44101, 16000) }
    }

    @Test
    fun refusesWhatWouldNotFitIntoAPhone() {
        assertThrows(AudioException::class.java) { resampler(1, 16000) }
        resampler(1000, 16000)
        val long = FloatArray(2 * 1024 * 1024)
        assertThrows(AudioException::class.java) { resampler(1000, 16000).resample(long) }
    }

    private companion object {
        val UP =
            floatArrayOf(
                0.00034883f, 0.07529584f, 0.17155010f, 0.25027382f, 0.33348215f,
                0.41070028f, 0.50187240f, 0.60592829f, 0.62424757f, 0.75408956f,
                0.95453744f, 0.61512455f,
            )
        val DOWN =
            floatArrayOf(
                0.01333843f, 0.17815130f, 0.39493334f, 0.51998321f, 0.84764430f,
                0.44523168f,
            )
    }
}
