package org.scriptable.scorer

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/**
 * The golden streams of `python -m export vectors`, by the same `.pte` on the JVM.
 *
 * Needs -Dstream.vectors (that folder), -Dstream.model (the `.pte`) and -Dspoof.native.
 */
class StreamGoldenTest {
    private val folder = File(given("stream.vectors"))
    private val document = JSONObject(File(folder, "vectors.json").readText())
    private val cases = document.getJSONArray("cases").let { all -> List(all.length()) { all.getJSONObject(it) } }

    private fun floats(name: String): FloatArray {
        val buffer = ByteBuffer.wrap(File(folder, name).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()).also { buffer.get(it) }
    }

    private class Heard(val samples: Long, val verdict: Verdict, val state: FloatArray)

    private fun replay(stream: StreamScorer, case: JSONObject): List<Heard> {
        val heard = mutableListOf<Heard>()
        val samples = floats(case.getString("samples_file"))
        val blocks = case.getJSONArray("blocks")
        var next = 0
        for (index in 0 until blocks.length()) {
            val block = blocks.getJSONObject(index)
            val part = samples.copyOfRange(next, next + block.getInt("length"))
            next += part.size
            val at = if (block.isNull("at")) null else block.getLong("at")
            stream.hear(part, at) { heard.add(Heard(stream.samples, it, stream.state)) }
        }
        return heard
    }

    @Test
    fun verdictsAndStatesAreEqual() = Scorer.load(File(given("stream.model"))).use { scorer ->
        assertEquals(Contract.parse(document.getJSONObject("contract").toString()), scorer.contract)
        var worst = 0.0
        for (case in cases) {
            val name = case.getString("name")
            val stream = StreamScorer(scorer)
            val heard = replay(stream, case)
            assertEquals(name, case.getInt("n_chunks"), heard.size)
            assertEquals(name, if (name == "a_long_gap") 1 else 0, stream.restarts)
            val golden = case.getJSONArray("verdicts")
            heard.forEachIndexed { index, found ->
                worst = maxOf(worst, compare("$name, chunk $index", golden.getJSONObject(index), found))
            }
            compareStates(name, floats(case.getString("states_file")), heard)
        }
        println("largest score difference of streams: $worst")
    }

    private fun compare(place: String, golden: JSONObject, found: Heard): Double {
        val verdict = found.verdict
        assertEquals(place, golden.getLong("samples"), found.samples)
        assertEquals(place, golden.getString("decision"), verdict.decision.label)
        assertEquals(place, if (golden.isNull("reason")) null else golden.getString("reason"), verdict.reason)
        assertEquals(place, golden.getDouble("threshold"), verdict.threshold, 0.0)
        if (golden.isNull("score")) {
            assertEquals(place, listOf(null, null, null), listOf(verdict.score, verdict.llr, verdict.posterior))
            return 0.0
        }
        assertEquals(place, golden.getDouble("score"), verdict.score!!, 1e-5)
        assertEquals(place, golden.getDouble("llr"), verdict.llr!!, 1e-4)
        assertEquals(place, golden.getDouble("posterior"), verdict.posterior!!, 1e-4)
        return abs(golden.getDouble("score") - verdict.score)
    }

    /** Sums of hundreds and logarithms stand in one state. */
    private fun compareStates(name: String, golden: FloatArray, heard: List<Heard>) {
        val found = heard.flatMap { it.state.asList() }
        assertEquals(name, golden.size, found.size)
        for (index in golden.indices) {
            val off = abs(golden[index] - found[index])
            assertTrue("$name: state number $index differs by $off", off <= 1e-4 + 2e-5 * abs(golden[index]))
        }
    }
}
