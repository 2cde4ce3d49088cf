package org.scriptable.app

import android.app.Activity
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.util.concurrent.Executor
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.scriptable.scorer.ExecuTorchEngine

/** Full storage, calls that come in, answers that come early or late: told, and nothing is lost. */
@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35], qualifiers = "w360dp-h740dp-hdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class HardTimesTest {
    @Before
    fun reset() {
        Golden.document
        Scene.reset()
    }

    private fun listening(): Screen {
        Screen.grantMicrophone()
        return Screen().also { it.listen.performClick() }
    }

    @Test
    fun fullStorageAtTheStartIsTold() {
        Scene.packed = { throw IOException("No space left on device") }
        val screen = Screen()
        assertTrue(screen.status, "cannot be read or unpacked" in screen.status)
        assertTrue(screen.status, "No space left on device" in screen.status)
        assertFalse(screen.listen.isEnabled)
        assertTrue(screen.model.isEnabled)
    }

    @Test
    fun folderThatCannotBeWrittenIsTold() {
        val folder = File(Screen().activity.noBackupFilesDir, "$MODEL.part").apply { mkdirs() }
        val screen = Screen()
        assertTrue(folder.isDirectory)
        assertTrue(screen.status, "cannot be read or unpacked" in screen.status)
    }

    /** The runtime's classes throw what they like at any call, a module that is closed at each. */
    @Test
    fun runtimeThatThrowsIsTold() {
        val engine = ExecuTorchEngine.open(Golden.model)
        engine.close()
        Scene.open = { engine }
        val screen = listening()
        val window = Golden.contract.getJSONObject("windows").getInt("num_samples")
        Scene.microphone.hear(voice(6).copyOf(window))
        assertEquals("Stopped: Module has been destroyed", screen.status)
        assertFalse(Scene.microphone.running)
    }

    @Test
    fun silencedMicrophoneGivesNoVerdict() {
        val screen = listening()
        Scene.microphone.hear(voice(6))
        assertEquals("Bona fide", screen.verdict)
        Scene.microphone.lose(AudioLoss.Silenced)
        assertFalse(Scene.microphone.running)
        assertEquals("No verdict yet", screen.verdict)
        assertTrue(screen.status, "a call or another app has the microphone" in screen.status)
        screen.picture("silenced")
        screen.listen.performClick()
        assertTrue(Scene.microphone.running)
    }

    @Test
    fun fileThatIsPickedWhileTheModelLoadsIsScored() {
        val worker = Later()
        Scene.worker = worker
        val screen = Screen()
        assertEquals("Loading the model", screen.status)
        val wav = Golden.file(Golden.document.getJSONArray("cases").getJSONObject(0).getString("wav"))
        screen.pickEarly(wav)
        worker.run()
        assertTrue(screen.status, screen.status.startsWith(wav.name))
        assertTrue(screen.numbers, screen.numbers.startsWith("LLR"))
    }

    /** The system restores the picker's screen, and its answer comes before the model is there. */
    private fun Screen.pickEarly(wav: File) {
        file.isEnabled = true
        file.performClick()
        answerPicker(wav.name, { wav.inputStream() })
    }

    @Test
    fun failedFileStopsTheMicrophone() {
        val screen = listening()
        shadowOf(screen.activity.application).checkActivities(true)
        screen.file.performClick()
        assertTrue(screen.status, "cannot be scored" in screen.status)
        assertFalse(Scene.microphone.running)
        assertEquals("Listen", screen.listen.text)
    }

    @Test
    fun nameThatIsNotToldIsNoCrash() {
        val screen = Screen()
        screen.file.performClick()
        val request = shadowOf(screen.activity).nextStartedActivity
        shadowOf(screen.activity).receiveResult(request, Activity.RESULT_CANCELED, null)
        assertTrue(screen.file.isEnabled)
    }

    @Test
    fun engineIsClosedWhenTheScreenGoesBeforeTheModelComes() {
        val engine = ScriptedEngine()
        Scene.open = { engine }
        val posted = mutableListOf<Runnable>()
        val worker = Later()
        Scene.worker = worker
        Scene.main = Executor { posted.add(it) }
        val screen = Screen()
        screen.end()
        worker.run()
        posted.forEach { it.run() }
        assertTrue(engine.closed)
    }

    @Test
    fun engineIsClosedWhenTheScreenGoesBeforeTheLoadIsPosted() {
        val engine = ScriptedEngine()
        Scene.open = { engine }
        val posted = mutableListOf<Runnable>()
        val worker = Later()
        Scene.worker = worker
        Scene.main = Executor { posted.add(it) }
        val screen = Screen()
        worker.run()
        assertFalse(engine.closed)
        screen.end()
        posted.forEach { it.run() }
        worker.run()
        assertTrue(engine.closed)
    }

    @Test
    fun missingModelIsNotTakenForAFullDisk() {
        Scene.packed = { throw FileNotFoundException(MODEL) }
        assertTrue("contains no model" in Screen().status)
    }
}
