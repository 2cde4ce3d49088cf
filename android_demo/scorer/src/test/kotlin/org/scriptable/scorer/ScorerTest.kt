package org.scriptable.scorer

import java.io.ByteArrayInputStream
import kotlin.math.cos
import kotlin.math.sin
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
        assertEquals(5.5 / 3, scored.verdict.score!!, 1e-12)
        assertEquals(2 * 5.5 / 3 - 1, scored.verdict.llr!!, 1e-12)
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

    private val voiced = FloatArray(400) { (0.2 * sin(0.31 * it) * sin(0.013 * it * it) + 0.1 * cos(1.7 * it)).toFloat() }

    @Test
    fun undecidedOnWhatTheContractDoesNotAllow() {
        val guarded = scorer(RuleEngine(guarded(minSeconds = 0.02)))
        assertEquals(Decision.BONAFIDE, guarded.scoreWaveform(FloatArray(400) { voiced[it] + 0.65f }).verdict.decision)
        val reasons =
            mapOf(
                "too short: 0.001 s, at least 0.020 s are needed" to voiced.copyOf(16),
                "too quiet: -200.0 dBFS, at least -60.0 are needed" to FloatArray(400) { 0.4f },
                "out of scale: samples up to 9000.0, where full scale is 1 and 4.0 the most" to
                    FloatArray(400) { if (it == 7) 9000f else voiced[it] },
                "clipped: 100.0 % of the samples, at most 10.0 % may be" to
                    FloatArray(400) { if (voiced[it] > 0) 1f else -1f },
            )
        for ((reason, waveform) in reasons) {
            val verdict = guarded.scoreWaveform(waveform).verdict
            assertEquals(Verdict(null, null, null, 0.25, Decision.UNDECIDED, reason), verdict)
        }
        val tone = FloatArray(400) { (0.3 * sin(0.17 * it)).toFloat() }
        assertTrue(guarded.scoreWaveform(tone).verdict.reason!!.startsWith("a tone: "))
    }

    @Test
    fun channelsThatCancelAreTold() {
        val samples = IntArray(800) { ((if (it % 2 == 0) 1 else -1) * 20000 * voiced[it / 2]).toInt() }
        val verdict = scorer(RuleEngine(guarded())).scoreWav(ByteArrayInputStream(riff(pcm(*samples), channels = 2))).verdict
        assertTrue(verdict.reason!!.startsWith("channels cancel: "))
    }

    @Test
    fun aWindowThatIsNotFiniteIsNotScored() {
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            val error =
                assertThrows(AudioException::class.java) { scorer().scoreWindow(floatArrayOf(0f, bad, 0f, 0f)) }
            assertEquals("the audio contains NaN or infinite samples", error.message)
        }
    }

    @Test
    fun liveSilenceIsUndecidedAndLeavesTheMeanAlone() {
        val live = LiveScorer(scorer(RuleEngine(guarded(numSamples = 50, hop = 50))), smoothing = 2)
        val loud = ShortArray(50) { (20000 * voiced[it]).toInt().toShort() }
        val decisions = mutableListOf<Verdict>()
        for (block in listOf(loud, ShortArray(50), loud)) live.accept(block, 50) { decisions.add(it) }
        assertEquals(Decision.UNDECIDED, decisions[1].decision)
        assertEquals(null, decisions[1].score)
        assertTrue(decisions[1].reason!!.startsWith("too quiet: "))
        assertEquals(decisions[0].score!!, decisions[2].score!!, 1e-12)
        assertEquals(decisions[2], live.verdict)
    }

    @Test
    fun aContractThatPromisesADigestNeedsOne() {
        val without = RuleEngine(guarded(), fileSha256 = null)
        assertThrows(ContractException::class.java) { scorer(without) }
        assertTrue(without.closed)
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
            live.accept(block, block.size) { scores.add(it.score!!) }
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
        live.accept(shortArrayOf(0, 16384, -16384, 99), 3) { scores.add(it.score!!) }
        assertEquals(listOf(0.0, 0.25, 0.0), scores)
        assertEquals(0.0, live.verdict!!.score!!, 0.0)
    }

    @Test
    fun levelIsRelativeToFullScale() {
        assertEquals(0.0, levelDb(shortArrayOf(-32768, -32768), 2, 32768, -60.0), 1e-12)
        assertEquals(-6.0206, levelDb(shortArrayOf(16384, -16384, 9), 2, 32768, -60.0), 1e-4)
        assertEquals(-60.0, levelDb(shortArrayOf(0), 1, 32768, -60.0), 0.0)
        assertEquals(-60.0, levelDb(shortArrayOf(), 0, 32768, -60.0), 0.0)
    }
}
