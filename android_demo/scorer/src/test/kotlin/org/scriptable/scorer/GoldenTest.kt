package org.scriptable.scorer

import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/**
 * Windows, scores and decisions of `python -m export vectors`, by the same `.pte` on the JVM.
 *
 * Needs -Dvectors (that folder), -Dmodel (the `.pte`) and -Dspoof.native (of libspoof_jni.so).
 */
class GoldenTest {
    @get:Rule val scratch = TemporaryFolder()

    private val folder = File(given("vectors"))
    private val document = JSONObject(File(folder, "vectors.json").readText())
    private val contract = Contract.parse(document.getJSONObject("contract").toString())
    private val windows = contract.windows!!
    private val cases = document.getJSONArray("cases").let { all -> List(all.length()) { all.getJSONObject(it) } }

    private fun open(file: String = given("model")) = Scorer.load(File(file))

    /** Through resampling the waveforms may differ by rounding, and the scores by a little more. */
    private fun tolerance(case: JSONObject) =
        maxOf(
            if (case.getInt("sample_rate") == contract.audio.sampleRate) 1e-5 else 1e-4,
            // Of a file of fewer bits, whose contract states it.
            document.optDouble("score_tolerance", 0.0),
        )

    private fun golden(case: JSONObject): List<FloatArray> {
        val bytes = File(folder, case.getString("windows_file")).readBytes()
        val floats = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return List(case.getInt("n_windows")) {
            FloatArray(windows.numSamples).also { window -> floats.get(window) }
        }
    }

    @Test
    fun contractOfTheModelIsTheVectors() = open().use { assertEquals(contract, it.contract) }

    @Test
    fun windowsAreEqual() = open().use { scorer ->
        for (case in cases) {
            val name = case.getString("name")
            val wav = File(folder, case.getString("wav")).inputStream().use { Wav.read(it) }
            val cut = cutWindows(scorer.waveform(wav), windows).toList()
            val golden = golden(case)
            assertEquals(name, golden.size, cut.size)
            val native = case.getInt("sample_rate") == contract.audio.sampleRate
            // Sums of doubles in another order.
            val most = if (native) 0.0f else 1e-5f
            golden.zip(cut).forEach { (one, other) ->
                val worst = one.indices.maxOf { abs(one[it] - other[it]) }
                assertTrue("$name: windows differ by $worst", worst <= most)
            }
        }
    }

    @Test
    fun scoresAndDecisionsAreEqual() = open().use { scorer ->
        val worst = sortedMapOf<Int, Double>()
        for (case in cases) {
            val name = case.getString("name")
            val scored = File(folder, case.getString("wav")).inputStream().use { scorer.scoreWav(it) }
            val verdict = scored.verdict
            assertEquals(name, case.getString("decision"), verdict.decision.label)
            if (case.isNull("score")) {
                val threshold = contract.decision.threshold
                val undecided = Verdict(null, null, null, threshold, Decision.UNDECIDED, case.getString("reason"))
                assertEquals(name, undecided, verdict)
                assertEquals(name, 0, scored.windowScores.size)
                continue
            }
            assertEquals(name, null, verdict.reason)
            val goldenScores = case.getJSONArray("window_scores")
            assertEquals(name, goldenScores.length(), scored.windowScores.size)
            scored.windowScores.forEachIndexed { index, score ->
                assertEquals(name, goldenScores.getDouble(index), score.toDouble(), tolerance(case))
            }
            assertEquals(name, case.getDouble("score"), verdict.score!!, tolerance(case))
            val off = abs(case.getDouble("score") - verdict.score)
            worst.merge(case.getInt("sample_rate"), off, ::maxOf)
            val scale = abs(contract.decision.scale)
            assertEquals(name, case.getDouble("llr"), verdict.llr!!, tolerance(case) * scale)
            assertEquals(name, case.getDouble("posterior"), verdict.posterior!!, tolerance(case) * scale)
            assertEquals(name, case.getDouble("threshold"), verdict.threshold, 0.0)
        }
        println("largest score difference by sample rate: $worst")
    }

    /** The three lines of the README, on the longest recording, in blocks as a microphone gives them. */
    @Test
    fun threeLinesScoreAStream() {
        val scored = cases.filter { it.getInt("sample_rate") == 16000 && !it.isNull("score") }
        val case = scored.maxBy { it.getInt("n_windows") }
        val recording = File(folder, case.getString("wav")).inputStream().use { Wav.read(it) }
        val file = File(given("model"))
        val decisions = mutableListOf<Decision?>()
        val microphone = recording.samples.toList().chunked(1600).map { it.toShortArray() }
        val live = LiveScorer(Scorer.load(file))
        for (samples in microphone) {
            live.accept(samples)
            val decision = live.verdict?.decision
            decisions.add(decision)
        }
        assertEquals(recording.sampleRate, live.sampleRate)
        assertEquals(null, decisions.first())
        val scores = case.getJSONArray("window_scores")
        val whole = (recording.samples.size - windows.numSamples) / windows.hop + 1
        val last = (maxOf(0, whole - LiveScorer.SMOOTHING) until whole).map { scores.getDouble(it) }.average()
        assertEquals(last, live.verdict!!.score!!, 1e-5)
        assertEquals(contract.decide(contract.llr(last)), decisions.last())
    }

    @Test
    fun vectorsHaveBothDecisionsAndSeveralRates() {
        assertTrue(cases.map { it.getInt("sample_rate") }.toSet().size >= 3)
        assertTrue(cases.any { it.getInt("channels") == 2 })
        assertTrue(cases.any { it.getInt("n_windows") > 1 })
        assertTrue(cases.count { it.getString("decision") == "undecided" } >= 6)
    }

    /** What the contract allows no decision on, live: the reason stays with the verdict. */
    @Test
    fun undecidedWindowsOfAStreamTellWhy() = open().use { scorer ->
        for (case in cases.filter { it.getString("name") in listOf("silence", "constant", "tone", "quiet") }) {
            val recording = File(folder, case.getString("wav")).inputStream().use { Wav.read(it) }
            val live = LiveScorer(scorer)
            live.accept(recording.samples)
            assertEquals(Decision.UNDECIDED, live.verdict!!.decision)
            assertEquals(case.getString("reason"), live.verdict!!.reason)
        }
    }

    @Test
    fun damagedFilesAreRefused() {
        val whole = File(given("model")).readBytes()
        val cut = File(scratch.root, "cut.pte").apply { writeBytes(whole.copyOf(whole.size / 3)) }
        val flipped = File(scratch.root, "flipped.pte")
        flipped.writeBytes(whole.copyOf().also { it[it.size / 2] = (it[it.size / 2].toInt() xor 1).toByte() })
        val text = File(scratch.root, "text.pte").apply { writeText("no program\n".repeat(1000)) }
        for (file in listOf(cut, flipped, text)) {
            val error = assertThrows(ProgramException::class.java) { Scorer.load(file) }
            assertEquals(error.message, 1, error.message!!.lines().size)
        }
        assertThrows(IOException::class.java) { Scorer.load(File(scratch.root, "nothing.pte")) }
    }

    /** The stand-in's Module is never made: a runtime could crash on what a bit has become. */
    @Test
    fun digestIsCheckedBeforeTheRuntimeSeesAByte() {
        assertEquals(contract.fileSha256, FileDigest.check(File(given("model"))))
        val flipped = File(scratch.root, "flipped.pte")
        val whole = File(given("model")).readBytes()
        for (place in listOf(100, whole.size / 2, whole.size - 1)) {
            flipped.writeBytes(whole.copyOf().also { it[place] = (it[place].toInt() xor 1).toByte() })
            val error = assertThrows(ProgramException::class.java) { ExecuTorchEngine.open(flipped) }
            assertTrue(error.message, error.message!!.startsWith("damaged: its sha256 is "))
            assertEquals(null, error.cause)
        }
    }
}
