package org.scriptable.app

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.scriptable.scorer.ExecuTorchEngine

/** The screen on a model of streams, by the app's own engine class and the C++ runtime. */
@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35], qualifiers = "w360dp-h740dp-hdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class StreamScreenTest {
    @get:Rule val folder = TemporaryFolder()

    @Before
    fun realModel() {
        Scene.reset()
        val model = GoldenStreams.model
        Scene.packed = { model.inputStream() }
        Scene.open = ExecuTorchEngine::open
    }

    private val shown = mapOf("bonafide" to "Bona fide", "spoof" to "Spoof", "undecided" to "Undecided")

    /** What Python knew after the last chunk. */
    private fun last(case: JSONObject): JSONObject =
        case.getJSONArray("verdicts").let { it.getJSONObject(it.length() - 1) }

    /** Golden streams were 16-bit samples once. */
    private fun pcm(case: JSONObject): ShortArray {
        val bytes = GoldenStreams.file(case.getString("samples_file")).readBytes()
        val floats = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return ShortArray(floats.remaining()) { (floats.get(it) * 32768).toInt().toShort() }
    }

    private fun listening(): Screen {
        Screen.grantMicrophone()
        return Screen().also { it.listen.performClick() }
    }

    @Test
    fun liveChunksScoreAsInPython() {
        val screen = listening()
        val case = GoldenStreams.case("at_once")
        val samples = pcm(case)
        Scene.microphone.hear(samples.copyOf(4800))
        assertEquals("Listening: the first verdict needs 0.3 s of audio", screen.status)
        assertEquals("No verdict yet", screen.verdict)
        Scene.microphone.hear(samples.copyOfRange(4800, samples.size))
        val golden = last(case)
        assertEquals("Listening: each point is on all that was heard", screen.status)
        assertEquals(shown[golden.getString("decision")], screen.verdict)
        val numbers = "LLR %+.2f nats, threshold %+.2f".format(golden.getDouble("llr"), golden.getDouble("threshold"))
        assertTrue(screen.numbers, screen.numbers.startsWith(numbers))
        assertEquals("3.2 ms for a chunk of 0.16 s", screen.latency)
        val chunks = case.getJSONArray("verdicts")
        val decided = (0 until chunks.length()).count { !chunks.getJSONObject(it).isNull("llr") }
        val described = screen.trace.contentDescription.toString()
        assertTrue(described, described.startsWith("Score trace, points: $decided, last"))
        screen.picture("listening_stream")
    }

    @Test
    fun aSecondStreamBeginsAnew() {
        val screen = listening()
        val samples = pcm(GoldenStreams.case("at_once"))
        Scene.microphone.hear(samples)
        val numbers = screen.numbers
        screen.listen.performClick()
        screen.listen.performClick()
        assertEquals("No verdict yet", screen.verdict)
        Scene.microphone.hear(samples)
        assertEquals(numbers, screen.numbers)
    }

    @Test
    fun silenceIsUndecidedAndSpeechAfterItIsNot() {
        val screen = listening()
        val case = GoldenStreams.case("silence_then_speech")
        val samples = pcm(case)
        Scene.microphone.hear(samples.copyOf(16000))
        assertEquals("Undecided", screen.verdict)
        assertTrue(screen.numbers, screen.numbers.startsWith("too quiet: -200.0 dBFS"))
        assertEquals("Score trace, empty", screen.trace.contentDescription)
        Scene.microphone.hear(samples.copyOfRange(16000, samples.size))
        assertEquals(shown[last(case).getString("decision")], screen.verdict)
    }

    @Test
    fun filesScoreAsInPython() {
        val screen = Screen()
        for (name in listOf("at_once", "stops_in_a_chunk", "clipped", "shorter_than_a_chunk")) {
            val case = GoldenStreams.case(name)
            val samples = pcm(case)
            val file = File(folder.root, "$name.wav").apply { writeBytes(wav(samples)) }
            screen.scoreFile(file)
            val chunks = case.getInt("n_chunks")
            assertEquals("$name.wav, $chunks chunks", screen.status)
            val decision = if (chunks == 0) "undecided" else last(case).getString("decision")
            assertEquals(name, shown[decision], screen.verdict)
            if (decision == "undecided") {
                assertFalse(screen.numbers, screen.numbers.startsWith("LLR"))
            } else {
                assertTrue(screen.numbers, screen.numbers.startsWith("LLR %+.2f".format(last(case).getDouble("llr"))))
            }
        }
    }

    private fun wav(samples: ShortArray): ByteArray {
        val size = 2 * samples.size
        val buffer = ByteBuffer.allocate(44 + size).order(ByteOrder.LITTLE_ENDIAN)
        buffer.put("RIFF".toByteArray()).putInt(36 + size).put("WAVEfmt ".toByteArray()).putInt(16)
        buffer.putShort(1).putShort(1).putInt(16000).putInt(32000).putShort(2).putShort(16)
        buffer.put("data".toByteArray()).putInt(size)
        samples.forEach { buffer.putShort(it) }
        return buffer.array()
    }

    @Test
    fun aStreamingFileIsPickedInPlaceOfOneOfWindowsAndBack() {
        val windows = Golden.model
        Scene.packed = { windows.inputStream() }
        val screen = listening()
        Scene.microphone.hear(voice(5))
        assertTrue(screen.latency, "for a window of" in screen.latency)
        screen.takeModel("stream.pte") { GoldenStreams.model.inputStream() }
        assertTrue(screen.identity, screen.identity.startsWith(GoldenStreams.contract.getString("model")))
        screen.listen.performClick()
        Scene.microphone.hear(voice(5))
        assertTrue(screen.latency, "for a chunk of" in screen.latency)
        screen.reset.performClick()
        assertTrue(screen.identity, screen.identity.startsWith(Golden.contract.getString("model")))
        screen.listen.performClick()
        Scene.microphone.hear(voice(5))
        assertTrue(screen.latency, "for a window of" in screen.latency)
        screen.end()
    }

    @Test
    fun aStreamingFileThatKeepsNoStateIsRefusedAndTheModelStays() {
        val screen = Screen()
        val before = screen.identity
        // Its engine scores windows alone.
        Scene.open = { ScriptedEngine(GoldenStreams.contract.toString()) }
        screen.takeModel("broken.pte") { ByteArray(1).inputStream() }
        assertTrue(screen.status, "takes windows, and no state" in screen.status)
        assertEquals(before, screen.identity)
    }

    @Test
    fun aContractThatIsNotKnownIsRefused() {
        val other = GoldenStreams.contract
        other.getJSONObject("stream").put("tail", "repeat")
        Scene.open = { ScriptedEngine(other.toString()) }
        assertTrue("stream.tail: expected drop, got repeat" in Screen().status)
    }
}
