package org.scriptable.app

import java.io.File
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
import org.scriptable.scorer.Wav

/** The screen on the exported model, by the app's own engine class and the C++ runtime. */
@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35], qualifiers = "w360dp-h740dp-hdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class EndToEndTest {
    @get:Rule val folder = TemporaryFolder()

    @Before
    fun realModel() {
        Scene.reset()
        val model = Golden.model
        Scene.packed = { model.inputStream() }
        Scene.open = ExecuTorchEngine::open
    }

    private val cases =
        Golden.document.getJSONArray("cases").let { all -> List(all.length()) { all.getJSONObject(it) } }

    private val shown = mapOf("bonafide" to "Bona fide", "spoof" to "Spoof", "undecided" to "Undecided")

    private val JSONObject.decided
        get() = getString("decision") != "undecided"

    private fun JSONObject.numbers() =
        if (decided) {
            "LLR %+.2f nats, threshold %+.2f".format(getDouble("llr"), getDouble("threshold"))
        } else {
            getString("reason")
        }

    private fun JSONObject.windows() =
        when (val windows = if (decided) getInt("n_windows") else 0) {
            0 -> "no window scored"
            1 -> "one window"
            else -> "mean of $windows windows"
        }

    @Test
    fun filesScoreAsInPython() {
        val screen = Screen()
        for (case in cases) {
            val name = case.getString("wav")
            screen.scoreFile(Golden.file(name))
            assertEquals(name, shown[case.getString("decision")], screen.verdict)
            assertTrue("$name: ${screen.numbers}", screen.numbers.startsWith(case.numbers()))
            assertEquals("$name, ${case.windows()}", screen.status)
            assertEquals(name, case.decided, screen.latency.isNotEmpty())
            if (case == cases.first()) screen.picture("file")
        }
        screen.end()
    }

    @Test
    fun firstLiveWindowScoresAsInPython() {
        Screen.grantMicrophone()
        val screen = Screen()
        screen.listen.performClick()
        val case = cases.first { it.getString("name") == "one_window" }
        Scene.microphone.hear(Golden.file(case.getString("wav")).inputStream().use { Wav.read(it) }.samples)
        assertEquals(shown[case.getString("decision")], screen.verdict)
        assertTrue(screen.numbers, screen.numbers.startsWith(case.numbers()))
        screen.end()
    }

    @Test
    fun fileThatCannotBeReadIsExplained() {
        val screen = Screen()
        val whole = Golden.file(cases[0].getString("wav")).readBytes()
        val cut = File(folder.root, "cut.wav").apply { writeBytes(whole.copyOf(whole.size / 2)) }
        screen.scoreFile(cut)
        assertTrue(screen.status, "truncated" in screen.status)
        screen.picture("file_failed")
        screen.scoreFile(File(cut.path + ".gone"))
        assertTrue(screen.status, "cannot be scored" in screen.status)
        assertTrue(screen.file.isEnabled)
        screen.end()
    }

    @Test
    fun truncatedModelFlippedBitAndTextAreRefused() {
        val whole = Golden.model.readBytes()
        val flipped = whole.copyOf().also { it[it.size / 2] = (it[it.size / 2].toInt() xor 1).toByte() }
        for (content in listOf(whole.copyOf(whole.size / 3), flipped, "no program".toByteArray())) {
            Scene.packed = { content.inputStream() }
            val screen = Screen()
            assertTrue(screen.status, "cannot be loaded" in screen.status)
            assertFalse(screen.file.isEnabled)
        }
    }
}
