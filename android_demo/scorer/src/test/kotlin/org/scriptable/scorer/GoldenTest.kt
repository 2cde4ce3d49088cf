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
import org.junit.Assume.assumeTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.scriptable.host.NativeEngine

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
    private val cases = document.getJSONArray("cases").let { all -> List(all.length()) { all.getJSONObject(it) } }

    private fun given(property: String): String {
        val value = System.getProperty(property)
        assumeTrue("-D$property is not given: make test-android gives it", value != null)
        return value!!
    }

    private fun open(file: String = given("model")) = Scorer.open(HostEngine(file), "1.5.1")

    /** Through resampling the waveforms may differ by rounding, and the scores by a little more. */
    private fun tolerance(case: JSONObject) =
        if (case.getInt("sample_rate") == contract.audio.sampleRate) 1e-5 else 1e-4

    private fun windows(case: JSONObject): List<FloatArray> {
        val bytes = File(folder, case.getString("windows_file")).readBytes()
        val floats = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return List(case.getInt("n_windows")) {
            FloatArray(contract.windows.numSamples).also { window -> floats.get(window) }
        }
    }

    @Test
    fun contractOfTheModelIsTheVectors() = open().use { assertEquals(contract, it.contract) }

    @Test
    fun windowsAreEqual() = open().use { scorer ->
        for (case in cases) {
            val name = case.getString("name")
            val wav = File(folder, case.getString("wav")).inputStream().use { Wav.read(it) }
            val cut = cutWindows(scorer.waveform(wav), contract.windows).toList()
            val golden = windows(case)
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
                assertEquals(name, Verdict(null, null, null, contract.decision.threshold, Decision.UNDECIDED, case.getString("reason")), verdict)
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

    @Test
    fun vectorsHaveBothDecisionsAndSeveralRates() {
        assertTrue(cases.map { it.getInt("sample_rate") }.toSet().size >= 3)
        assertTrue(cases.any { it.getInt("channels") == 2 })
        assertTrue(cases.any { it.getInt("n_windows") > 1 })
        assertTrue(cases.count { it.getString("decision") == "undecided" } >= 6)
    }

    @Test
    fun damagedFilesAreRefused() {
        val whole = File(given("model")).readBytes()
        val cut = File(scratch.root, "cut.pte").apply { writeBytes(whole.copyOf(whole.size / 3)) }
        val flipped = File(scratch.root, "flipped.pte")
        flipped.writeBytes(whole.copyOf().also { it[it.size / 2] = (it[it.size / 2].toInt() xor 1).toByte() })
        assertTrue(assertThrows(ScorerException::class.java) { FileDigest.check(flipped) }.message!!.startsWith("damaged"))
        assertEquals(contract.fileSha256, FileDigest.check(File(given("model"))))
        val text = File(scratch.root, "text.pte").apply { writeText("no program\n".repeat(1000)) }
        for (file in listOf(cut, flipped, text, File(scratch.root, "nothing.pte"))) {
            val error = assertThrows(IOException::class.java) { HostEngine(file.path) }
            assertEquals(error.message, 1, error.message!!.lines().size)
        }
    }

    private class HostEngine(path: String) : Engine {
        private val native = NativeEngine(path)

        override val fileSha256 = FileDigest.check(File(path))

        override fun contract() = native.contract()

        override fun score(window: FloatArray) = native.score(window)

        override fun close() = native.close()
    }
}
