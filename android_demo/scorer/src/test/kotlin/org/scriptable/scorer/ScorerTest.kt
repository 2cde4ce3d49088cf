package org.scriptable.scorer

import java.io.ByteArrayInputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ScorerTest {
    private fun scorer(engine: Engine = RuleEngine()) = Scorer.open(engine)

    @Test
    fun scoreIsTheMeanOfTheWindows() {
        val scored = scorer().scoreWaveform(floatArrayOf(1f, 1f, 1f, 1f, 3f, 3f, 3f))
        assertArrayEquals(floatArrayOf(1f, 2f, 2.5f), scored.windowScores, 0f)
        assertEquals(5.5 / 3, scored.verdict.score, 1e-12)
        assertEquals(2 * 5.5 / 3 - 1, scored.verdict.llr, 1e-12)
        assertEquals(0.25, scored.verdict.threshold, 0.0)
        assertEquals(Decision.BONAFIDE, scored.verdict.decision)
    }

    @Test
    fun wavIsMixedDownAndResampled() {
        val stereo = riff(pcm(*IntArray(400) { if (it % 2 == 0) 16384 else 0 }), rate = 8000, channels = 2)
        val scored = scorer().scoreWav(ByteArrayInputStream(stereo))
        assertEquals(199, scored.windowScores.size)
        assertEquals(0.25f, scored.windowScores[100], 2e-3f)
    }

    @Test
    fun scoreThatIsNotFiniteIsAnError() {
        val error =
            assertThrows(ScorerException::class.java) {
                scorer(RuleEngine { Float.NaN }).scoreWaveform(floatArrayOf(1f))
            }
        assertEquals("the model gives a score that is not finite", error.message)
    }

    @Test
    fun refusedEngineIsClosed() {
        val without = RuleEngine("")
        assertThrows(ContractException::class.java) { scorer(without) }
        assertTrue(without.closed)
    }

    @Test
    fun liveWindowsAreThoseOfTheRecording() {
        val samples = ShortArray(23) { (it * 1000).toShort() }
        val waveform = decodePcm16(samples, samples.size, 1, 32768)
        val live = LiveScorer(scorer(), smoothing = 1)
        val scores = mutableListOf<Double>()
        for (start in samples.indices step 5) {
            val block = samples.copyOfRange(start, minOf(start + 5, samples.size))
            live.accept(block, block.size) { scores.add(it.score) }
        }
        val whole = scorer().scoreWaveform(waveform).windowScores.dropLast(1)
        assertEquals(whole.map { it.toDouble() }, scores)
        assertEquals(10, scores.size)
        assertEquals(1.0, live.filled, 0.0)
    }

    @Test
    fun liveVerdictIsSmoothed() {
        val live = LiveScorer(scorer(RuleEngine(document(numSamples = 1, hop = 1))), smoothing = 2)
        val scores = mutableListOf<Double>()
        live.accept(shortArrayOf(0, 16384, -16384, 99), 3) { scores.add(it.score) }
        assertEquals(listOf(0.0, 0.25, 0.0), scores)
        assertEquals(0.0, live.verdict!!.score, 0.0)
    }

    @Test
    fun levelIsRelativeToFullScale() {
        assertEquals(0.0, levelDb(shortArrayOf(-32768, -32768), 2, 32768, -60.0), 1e-12)
        assertEquals(-6.0206, levelDb(shortArrayOf(16384, -16384, 9), 2, 32768, -60.0), 1e-4)
        assertEquals(-60.0, levelDb(shortArrayOf(0), 1, 32768, -60.0), 0.0)
        assertEquals(-60.0, levelDb(shortArrayOf(), 0, 32768, -60.0), 0.0)
    }
}
