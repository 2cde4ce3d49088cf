package org.scriptable.app

import android.content.Intent
import android.provider.Settings
import android.view.View
import android.widget.TextView
import java.io.FileNotFoundException
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.scriptable.scorer.ProgramException
import org.scriptable.scorer.RuntimeMissingException
import org.scriptable.scorer.UnsupportedModelException

@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35], qualifiers = "w360dp-h740dp-hdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreenTest {
    @Before
    fun reset() {
        Golden.document
        Scene.reset()
    }

    private fun listening(): Screen {
        Screen.grantMicrophone()
        return Screen().also { it.listen.performClick() }
    }

    private fun contractWith(change: JSONObject.() -> Unit) = Golden.contract.apply(change).toString()

    @Test
    fun idleShowsTheModel() {
        val screen = Screen()
        assertTrue(screen.identity, screen.identity.startsWith(Golden.contract.getString("model")))
        assertTrue(Golden.contract.getString("weights_sha256").take(12) in screen.identity)
        assertEquals("No verdict yet", screen.verdict)
        assertTrue(screen.listen.isEnabled && screen.file.isEnabled)
        screen.picture("idle")
    }

    @Test
    fun deniedMicrophoneIsExplainedAndAskedForAgain() {
        val screen = Screen()
        screen.listen.performClick()
        assertEquals(1, shadowOf(screen.activity).lastRequestedPermission.requestCode)
        screen.answer(granted = false)
        assertTrue(screen.status, "only files can be scored" in screen.status)
        assertEquals("Allow", screen.listen.text)
        assertFalse(Scene.microphone.running)
        screen.picture("denied")
        screen.listen.performClick()
        screen.answer(granted = true)
        assertTrue(Scene.microphone.running)
    }

    @Test
    fun microphoneDeniedForGoodLeadsToTheSettings() {
        val screen = Screen()
        screen.listen.performClick()
        screen.answer(granted = false, again = false)
        assertEquals("Settings", screen.listen.text)
        screen.picture("denied_for_good")
        screen.listen.performClick()
        val opened = shadowOf(screen.activity).nextStartedActivity
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, opened.action)
        screen.leave()
        Screen.grantMicrophone()
        screen.comeBack()
        assertEquals("Listen", screen.listen.text)
    }

    @Test
    fun liveScoringShowsVerdictTraceAndLatency() {
        val screen = listening()
        Scene.microphone.hear(voice(3))
        assertEquals("Listening: the first verdict needs 4.0 s of audio", screen.status)
        assertEquals("No verdict yet", screen.verdict)
        Scene.microphone.hear(voice(8))
        assertEquals("Bona fide", screen.verdict)
        assertEquals("3.2 ms for a window of 4.0 s", screen.latency)
        val described = screen.trace.contentDescription.toString()
        assertTrue(described, described.startsWith("Score trace, points: 4, last"))
        screen.picture("listening")
        Scene.microphone.hear(voice(10))
        assertEquals("Spoof", screen.verdict)
        screen.picture("listening_spoof")
    }

    @Test
    fun undecidedIsShownWithItsReason() {
        val screen = listening()
        Scene.microphone.hear(voice(5))
        assertEquals("Bona fide", screen.verdict)
        Scene.microphone.hear(ShortArray(16000 * 8))
        assertEquals("Undecided", screen.verdict)
        assertTrue(screen.numbers, screen.numbers.startsWith("too quiet: -200.0 dBFS, at least"))
        assertEquals(Golden.case("silence").getString("reason"), screen.numbers)
        assertEquals(screen.activity.getColor(R.color.plain), screen.verdictColour)
        assertTrue(screen.listen.text == "Stop" && screen.share.isEnabled)
        screen.picture("undecided")
        val trace = screen.trace.contentDescription
        Scene.microphone.hear(ShortArray(16000 * 8))
        assertEquals(trace, screen.trace.contentDescription)
        Scene.microphone.hear(voice(5))
        assertTrue(screen.numbers, screen.numbers.startsWith("LLR"))
    }

    @Test
    fun silenceFromTheStartHasNoNumbers() {
        val screen = listening()
        Scene.microphone.hear(ShortArray(16000 * 5))
        assertEquals("Undecided", screen.verdict)
        assertEquals("", screen.latency)
        assertEquals("Score trace, empty", screen.trace.contentDescription)
    }

    @Test
    fun turningKeepsListeningAndTheModel() {
        val engine = ScriptedEngine()
        Scene.open = { engine }
        val screen = listening()
        Scene.microphone.hear(voice(14))
        val before = screen.activity
        val (verdict, numbers) = screen.verdict to screen.numbers
        screen.turn()
        assertTrue(before !== screen.activity)
        assertTrue(Scene.microphone.running)
        assertEquals(verdict, screen.verdict)
        assertEquals(numbers, screen.numbers)
        Scene.microphone.hear(voice(6))
        assertFalse(engine.closed)
        screen.picture("listening_landscape")
        screen.end()
        assertTrue(engine.closed)
    }

    @Test
    fun theMicrophoneIsOffWhenTheScreenIs() {
        val screen = listening()
        assertTrue(Scene.microphone.running)
        screen.leave()
        assertFalse(Scene.microphone.running)
        screen.comeBack()
        assertFalse(Scene.microphone.running)
        assertEquals("Listen", screen.listen.text)
    }

    @Test
    fun stopButtonStops() {
        val screen = listening()
        assertEquals("Stop", screen.listen.text)
        screen.listen.performClick()
        assertFalse(Scene.microphone.running)
    }

    @Test
    fun microphoneThatCannotBeUsedIsExplained() {
        Scene.source = ScriptedSource(refusal = "another app may be using it")
        val refused = listening()
        assertEquals("The microphone cannot be used: another app may be using it", refused.status)
        Scene.source = ScriptedSource()
        val screen = listening()
        Scene.microphone.lose(AudioLoss.Failed("reading failed with code -6"))
        assertTrue(screen.status, "code -6" in screen.status)
        assertFalse(Scene.microphone.running)
    }

    @Test
    @Config(qualifiers = "+night")
    fun nightHasColoursOfItsOwn() {
        val screen = listening()
        Scene.microphone.hear(voice(14))
        screen.picture("listening_night")
        assertEquals(0xFF1C1B1F.toInt(), screen.activity.getColor(R.color.ground))
    }

    @Test
    fun missingModelIsExplained() {
        Scene.packed = { throw FileNotFoundException(MODEL) }
        val screen = Screen()
        assertTrue(screen.status, "contains no model" in screen.status)
        assertFalse(screen.listen.isEnabled || screen.file.isEnabled)
        assertEquals("No usable model", screen.verdict)
        screen.picture("model_missing")
    }

    @Test
    fun damagedModelIsExplained() {
        Scene.open = { throw ProgramException("Invalid program: header") }
        val screen = Screen()
        assertTrue(screen.status, "damaged" in screen.status && "Invalid program" in screen.status)
        assertFalse(screen.listen.isEnabled)
        screen.picture("model_damaged")
    }

    @Test
    fun modelOfALaterReleaseIsScoredWith() {
        val later = contractWith { getJSONObject("versions").put("executorch", "9.1.0") }
        Scene.open = { ScriptedEngine(later) }
        val screen = Screen()
        assertTrue(screen.listen.isEnabled)
        assertTrue(screen.identity, "Exported by ExecuTorch 9.1.0.\nRun by npm react-native-executorch 0.9.3" in screen.identity)
    }

    @Test
    fun modelThatTheRuntimeLacksAnOperatorForIsTold() {
        Scene.runtime = PackedRuntime("org.pytorch:executorch-android:1.5.1", "1.5.1")
        Scene.open = { throw UnsupportedModelException("9.1.0", "Failed to load method: operator missing") }
        val screen = Screen()
        assertTrue(screen.status, "exported by ExecuTorch 9.1.0 and" in screen.status)
        assertTrue(screen.status, "ExecuTorch 1.5.1 (org.pytorch:executorch-android:1.5.1)" in screen.status)
        assertTrue(screen.status, "operator missing" in screen.status)
        screen.picture("model_unsupported")
        Scene.open = { throw UnsupportedModelException(null, "no backend") }
        assertTrue("an ExecuTorch that the file does not name" in Screen().status)
    }

    @Test
    fun modelWithoutAContractIsRefused() {
        Scene.open = { ScriptedEngine(text = "") }
        val without = Screen()
        assertTrue(without.status, "no score contract" in without.status)
        Scene.open = { ScriptedEngine(contractWith { put("task", "verification") }) }
        assertTrue("expected spoofing" in Screen().status)
        Scene.open = { ScriptedEngine(fileSha256 = null) }
        assertTrue("has no digest, although its contract promises one" in Screen().status)
    }

    @Test
    fun modelOfVersion1DecidesOnAnything() {
        val older = contractWith {
            put("schema_version", 1)
            listOf("guards", "precision", "notes", "file_sha256").forEach { remove(it) }
        }
        Scene.open = { ScriptedEngine(older, fileSha256 = null) }
        val screen = listening()
        Scene.microphone.hear(ShortArray(16000 * 5))
        assertEquals("Bona fide", screen.verdict)
    }

    @Test
    fun missingRuntimeIsExplained() {
        Scene.open = { throw RuntimeMissingException(UnsatisfiedLinkError("libexecutorch.so not found")) }
        assertTrue("no ExecuTorch for this device" in Screen().status)
    }

    @Test
    fun scoreThatIsNotFiniteStopsTheScreenNotTheApp() {
        Scene.open = { ScriptedEngine(scores = listOf(Float.NaN)) }
        val screen = listening()
        Scene.microphone.hear(voice(4))
        Scene.microphone.hear(ShortArray(1600))
        assertEquals("Stopped: the model gives a score that is not finite", screen.status)
        assertFalse(Scene.microphone.running)
    }

    @Test
    fun talkBackHearsTheVerdictOnceAndNamesEverything() {
        val screen = listening()
        val verdict = screen.activity.findViewById<View>(R.id.verdict)!!
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_ASSERTIVE, verdict.accessibilityLiveRegion)
        assertEquals("Score trace, empty", screen.trace.contentDescription)
        val status = screen.activity.findViewById<TextView>(R.id.status)!!
        Scene.microphone.hear(voice(1))
        val waiting = status.text
        Scene.microphone.hear(voice(1))
        assertSame(waiting, status.text)
        Scene.microphone.hear(voice(5))
        val shown = (verdict as TextView).text
        Scene.microphone.hear(voice(2))
        assertSame(shown, verdict.text)
        for (button in listOf(screen.listen, screen.file, screen.share, screen.model, screen.licences)) {
            assertTrue(button.text.isNotBlank())
            assertTrue(button.height >= 48 * 1.5)
        }
    }

    @Test
    fun pickerAsksForAudio() {
        val screen = Screen()
        screen.file.performClick()
        val picked = shadowOf(screen.activity).nextStartedActivity
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, picked.action)
        assertEquals("audio/*", picked.type)
    }
}
