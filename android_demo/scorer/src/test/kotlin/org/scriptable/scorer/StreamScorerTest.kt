package org.scriptable.scorer

import java.io.ByteArrayInputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** From samples as they come to verdicts, by a rule instead of a model. */
class StreamScorerTest {
    private fun scorer(rule: (FloatArray, FloatArray) -> Step = ::counted) =
        Scorer.open(RuleEngine(streaming(), stepRule = rule))

    /** Noise whose loudest sample is its first. */
    private fun voiced(length: Int, seed: Int = 1): FloatArray {
        val random = kotlin.random.Random(seed)
        return FloatArray(length) { if (it == 0) 0.5f else random.nextFloat() * 0.8f - 0.4f }
    }

    private fun StreamScorer.all(block: FloatArray, at: Long? = null): List<Verdict> =
        mutableListOf<Verdict>().also { found -> hear(block, at) { found.add(it) } }

    @Test
    fun verdictsFollowTheGuardsThenTheTableThenTheThreshold() {
        val found = StreamScorer(scorer()).all(voiced(6 * 40 + 39))
        val reasons = listOf("too short: 0.003 s, at least 0.003 s are needed", "too early: 0.005 s, decisions begin at 0.006 s")
        assertEquals(reasons, found.take(2).map { it.reason })
        assertEquals(listOf(null, null, 0.0, 0.0, 2.5, 2.5), found.map { it.llr })
        assertEquals(listOf(null, null, 0.5, 0.5, 0.5, 0.5), found.map { it.score })
        assertEquals(
            List(2) { Decision.UNDECIDED } + List(2) { Decision.SPOOF } + List(2) { Decision.BONAFIDE },
            found.map { it.decision },
        )
    }

    @Test
    fun blocksOfAnyLengthGiveTheSame() {
        val heard = voiced(7 * 40 + 3)
        val whole = StreamScorer(scorer()).all(heard)
        for (size in listOf(1, 7, 39, 40, 41, 1000)) {
            val stream = StreamScorer(scorer())
            val found = heard.toList().chunked(size).flatMap { stream.all(it.toFloatArray()) }
            assertEquals(whole, found)
            assertEquals(283L, stream.position)
            assertEquals(280L, stream.samples)
            stream.reset()
            assertEquals(whole, stream.all(heard))
        }
    }

    @Test
    fun whatIsRefusedLeavesTheStateAlone() {
        val fragile = { chunk: FloatArray, state: FloatArray ->
            if (chunk[0] < -0.9f) Step(Float.NaN, state) else if (chunk[0] > 0.9f) Step(0f, floatArrayOf(1f, Float.NaN))
            else counted(chunk, state)
        }
        val stream = StreamScorer(scorer(fragile))
        stream.all(voiced(120))
        val state = stream.state
        for (bad in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            val refused = stream.all(voiced(40).also { it[17] = bad }).single()
            val reason = "refused: the chunk holds NaN or infinite samples"
            assertEquals(Verdict(null, null, null, 0.25, Decision.UNDECIDED, reason), refused)
        }
        for (first in listOf(-1f, 1f)) {
            val refused = stream.all(voiced(40).also { it[0] = first }).single()
            assertEquals("refused: the model gives no finite number for the chunk", refused.reason)
        }
        for (length in listOf(39, 41)) {
            val error = assertThrows(AudioException::class.java) { stream.hearChunk(voiced(length)) }
            assertEquals("chunk: expected 40 samples, got $length", error.message)
        }
        assertArrayEquals(state, stream.state, 0f)
        assertEquals(120L, stream.samples)
        assertEquals(4f, stream.all(voiced(40)).let { stream.state[0] }, 0f)
    }

    @Test
    fun aStateOfAnotherSizeIsAnError() {
        val stream = StreamScorer(scorer { _, _ -> Step(0f, FloatArray(3)) })
        val error = assertThrows(ScorerException::class.java) { stream.all(voiced(40)) }
        assertEquals("the model gives a state of 3 numbers, expected 2", error.message)
        assertArrayEquals(FloatArray(2), stream.state, 0f)
    }

    @Test
    fun silenceIsUndecidedAndPoisonsNothing() {
        val stream = StreamScorer(scorer())
        val silent = stream.all(FloatArray(120))
        assertEquals("too quiet: -200.0 dBFS, at least -60.0 are needed", silent.last().reason)
        assertEquals(Decision.BONAFIDE, stream.all(voiced(120)).last().decision)
    }

    @Test
    fun aClockThatSkips() {
        val heard = voiced(400)
        val whole = StreamScorer(scorer()).all(heard)
        val twice = StreamScorer(scorer())
        val found = twice.all(heard.copyOf(150), 0) + twice.all(heard.copyOfRange(110, 400), 110)
        assertEquals(whole, found)
        assertEquals(emptyList<Verdict>(), twice.all(heard.copyOf(50), 0))

        val gap = StreamScorer(scorer())
        gap.all(heard.copyOf(130), 0)
        gap.all(heard.copyOf(40), 230)
        assertEquals(listOf(160L, 270L, 0L), listOf(gap.samples, gap.position, gap.restarts.toLong()))
        assertEquals(whole, gap.all(heard, 371))
        assertEquals(1, gap.restarts)
    }

    @Test
    fun aRecordingIsAStreamOfItsOwn() {
        val scorer = scorer()
        val samples = IntArray(7 * 40 + 3) { (voiced(283)[it] * 20000).toInt() }
        val once = scorer.scoreWav(ByteArrayInputStream(riff(pcm(*samples))))
        val again = scorer.scoreWav(ByteArrayInputStream(riff(pcm(*samples))))
        assertEquals(7, once.chunks.size)
        assertEquals(once.chunks.last(), once.verdict)
        assertEquals(once.verdict, again.verdict)
        val cancelling = IntArray(800) { if (it % 2 == 0) samples[it % 283] else -samples[(it - 1) % 283] }
        val stereo = scorer.scoreWav(ByteArrayInputStream(riff(pcm(*cancelling), channels = 2))).verdict
        assertEquals("channels cancel", stereo.reason!!.substringBefore(":"))
        assertEquals(emptyList<Verdict>(), scorer.scoreWaveform(voiced(39)).chunks)
        assertEquals(Decision.UNDECIDED, scorer.scoreWaveform(voiced(39)).verdict.decision)
    }

    @Test
    fun lessThanAChunkWhereTheGuardsAllowIt() {
        val lax = streaming().replace("\"min_seconds\": 0.003", "\"min_seconds\": 0.0")
        val scored = Scorer.open(RuleEngine(lax)).scoreWaveform(voiced(39))
        assertEquals("too short: less than a chunk of 40 samples", scored.verdict.reason)
    }

    @Test
    fun liveAudioIsHeardInChunks() {
        val live = LiveScorer(scorer())
        val verdicts = mutableListOf<Verdict>()
        val pcm = ShortArray(200) { (voiced(200)[it] * 32768).toInt().toShort() }
        live.accept(pcm, 60) { verdicts.add(it) }
        assertEquals(0.5, live.filled, 0.0)
        live.accept(pcm.copyOfRange(60, 200)) { verdicts.add(it) }
        assertEquals(5, verdicts.size)
        assertEquals(verdicts.last(), live.verdict)
        assertEquals(0.5, live.verdict!!.score!!, 0.0)
        assertEquals(1.0, live.filled, 0.0)
    }

    @Test
    fun windowsAndStreamsAreToldApart() {
        val streams = scorer()
        assertEquals(120L, streams.contract.neededSamples)
        streams.tryOut()
        assertThrows(ContractException::class.java) { StreamScorer(Scorer.open(RuleEngine())) }
        val error = assertThrows(ScorerException::class.java) { scorer { _, state -> Step(Float.NaN, state) }.tryOut() }
        assertEquals("the model gives a score that is not finite", error.message)
    }

    @Test
    fun anEngineOfWindowsTakesNoState() {
        val windows = object : Engine {
            override fun contract() = streaming()

            override fun score(window: FloatArray) = 0f

            override fun close() {}
        }
        val error = assertThrows(ScorerException::class.java) { windows.step(FloatArray(1), FloatArray(1)) }
        assertEquals("the model takes windows, and no state", error.message)
    }
}
