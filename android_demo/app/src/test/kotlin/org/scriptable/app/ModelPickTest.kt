package org.scriptable.app

import android.content.Intent
import android.view.View
import android.widget.TextView
import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.scriptable.scorer.Engine
import org.scriptable.scorer.ExecuTorchEngine
import org.scriptable.scorer.ProgramFile

/** Another model from a file, sharing, and the notices. */
@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35], qualifiers = "w360dp-h740dp-hdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ModelPickTest {
    private val opened = mutableListOf<ScriptedEngine>()

    /** A file is its contract: what is written in it is what the engine tells. */
    @Before
    fun filesThatTellTheirNames() {
        Golden.document
        Scene.reset()
        Scene.packed = { stream("built in") }
        Scene.open = { file -> ScriptedEngine(file.readText()).also(opened::add) }
    }

    private fun text(model: String, change: JSONObject.() -> Unit = {}) =
        Golden.contract.put("model", model).apply(change).toString()

    private fun stream(model: String) = text(model).byteInputStream()

    private val folder: File
        get() = RuntimeEnvironment.getApplication().noBackupFilesDir

    private fun kept() = folder.list().orEmpty().filter { it.startsWith("picked") }

    @Test
    fun pickedModelIsUsedKeptAndForgotten() {
        val screen = Screen()
        assertTrue(screen.identity.startsWith("built in"))
        assertEquals(View.GONE, screen.reset.visibility)
        screen.takeModel("mine.pte") { stream("mine") }
        assertTrue(screen.identity, screen.identity.startsWith("mine"))
        val digest = kept().single().removePrefix("picked-").removeSuffix(".pte")
        assertEquals(digest, ProgramFile.sha256(File(folder, kept().single())))
        assertTrue(screen.identity, digest in screen.identity)
        assertEquals(listOf(true, false), opened.map { it.closed })
        screen.picture("model_picked")
        screen.end()

        val later = Screen()
        assertTrue(later.identity, later.identity.startsWith("mine"))
        later.reset.performClick()
        assertTrue(later.identity, later.identity.startsWith("built in"))
        assertEquals(emptyList<String>(), kept())
        assertEquals(1, opened.count { !it.closed })
    }

    @Test
    fun anotherPickTakesThePlaceOfTheFirst() {
        val screen = Screen()
        screen.takeModel("one.pte") { stream("one") }
        screen.takeModel("two.pte") { stream("two") }
        assertTrue(screen.identity.startsWith("two"))
        assertEquals(1, kept().size)
        screen.takeModel("two again.pte") { stream("two") }
        assertEquals(1, kept().size)
        assertEquals(1, opened.count { !it.closed })
    }

    @Test
    fun fileThatIsNoScorerIsRefusedAndTheModelStays() {
        val screen = Screen()
        screen.takeModel("sasv.pte") { text("sasv") { put("task", "sasv") }.byteInputStream() }
        assertTrue(screen.status, screen.status.startsWith("sasv.pte was not taken."))
        assertTrue(screen.status, "expected spoofing or streaming, got sasv" in screen.status)
        screen.picture("model_refused")
        assertTrue(screen.identity.startsWith("built in"))
        assertTrue(screen.listen.isEnabled)
        assertEquals(listOf(false, true), opened.map { it.closed })
        for (failure in listOf(IOException("gone"), SecurityException("not allowed"))) {
            screen.takeModel("away.pte") { throw failure }
            assertTrue(screen.status, failure.message!! in screen.status)
        }
        assertEquals(emptyList<String>(), kept())
    }

    @Test
    fun fileThatLoadsAndCannotScoreIsRefused() {
        val screen = Screen()
        Scene.open = { ScriptedEngine(it.readText(), scores = listOf(Float.NaN)).also(opened::add) }
        screen.takeModel("broken.pte") { stream("broken") }
        assertTrue(screen.status, "a score that is not finite" in screen.status)
        assertTrue(screen.identity.startsWith("built in"))
        assertEquals(listOf(false, true), opened.map { it.closed })
        assertEquals(emptyList<String>(), kept())
    }

    @Test
    fun storageThatIsFullWhileItCopiesLeavesNothing() {
        val screen = Screen()
        val half = object : java.io.InputStream() {
            private var left = 100_000

            override fun read(): Int = if (left-- > 0) 1 else throw IOException("No space left on device")
        }
        screen.takeModel("big.pte") { half }
        assertTrue(screen.status, "No space left" in screen.status)
        assertEquals(listOf(MODEL), folder.list()!!.toList())
    }

    @Test
    fun keptFileThatHasChangedIsNotOpened() {
        Screen().apply { takeModel("mine.pte") { stream("mine") } }.end()
        File(folder, kept().single()).appendText(" ")
        val before = opened.size
        val screen = Screen()
        assertTrue(screen.status, "its bytes have changed since" in screen.status)
        assertEquals(before, opened.size)
        assertFalse(screen.listen.isEnabled)
        screen.reset.performClick()
        assertTrue(screen.identity.startsWith("built in"))
    }

    @Test
    fun realModelsAreTakenAndOtherFilesAreNot() {
        Scene.packed = { Golden.model.inputStream() }
        Scene.open = ExecuTorchEngine::open as (File) -> Engine
        val screen = Screen()
        screen.takeModel("text.pte") { "no program".repeat(99).byteInputStream() }
        assertTrue(screen.status, "no ExecuTorch program" in screen.status)
        val whole = Golden.model.readBytes()
        screen.takeModel("cut.pte") { ByteArrayInputStream(whole, 0, whole.size / 2) }
        assertTrue(screen.status, "truncated" in screen.status)
        val flipped = whole.copyOf().also { it[it.size / 2] = (it[it.size / 2].toInt() xor 1).toByte() }
        screen.takeModel("flipped.pte") { flipped.inputStream() }
        assertTrue(screen.status, "flipped.pte was not taken." in screen.status)
        assertTrue(screen.status, "damaged: its sha256 is" in screen.status)
        assertEquals(emptyList<String>(), kept())
        screen.takeModel("copy.pte") { whole.inputStream() }
        assertTrue(screen.identity, ProgramFile.sha256(Golden.model) in screen.identity)
        screen.end()
    }

    @Test
    fun resultIsSharedAsText() {
        val screen = Screen()
        assertFalse(screen.share.isEnabled)
        screen.scoreFile(Golden.file(Golden.document.getJSONArray("cases").getJSONObject(0).getString("wav")))
        screen.share.performClick()
        val chooser = shadowOf(screen.activity).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, chooser.action)
        val send = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        assertEquals("text/plain", send.type)
        val shared = send.getStringExtra(Intent.EXTRA_TEXT)!!
        for (part in listOf(screen.verdict, screen.status, screen.numbers, "Run by npm react-native-executorch 0.9.3")) {
            assertTrue(shared, part in shared)
        }
        assertTrue(shared, Golden.contract.getString("weights_sha256") in shared)
    }

    @Test
    fun undecidedResultIsSharedWithItsReason() {
        val screen = Screen()
        screen.scoreFile(Golden.file("silence.wav"))
        assertEquals("Undecided", screen.verdict)
        assertEquals("silence.wav, no window scored", screen.status)
        screen.share.performClick()
        val shared = sharedText(screen).lines()
        val reason = Golden.case("silence").getString("reason")
        assertEquals(listOf("Undecided", "silence.wav, no window scored", reason), shared.take(3))
        assertEquals("", screen.latency)
    }

    private fun sharedText(screen: Screen): String {
        val chooser = shadowOf(screen.activity).nextStartedActivity
        val send = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        return send.getStringExtra(Intent.EXTRA_TEXT)!!
    }

    @Test
    fun fileThatHoldsNoDigestIsRefusedThoughItsContractPromisesOne() {
        val screen = Screen()
        Scene.open = { ScriptedEngine(it.readText(), fileSha256 = null).also(opened::add) }
        screen.takeModel("bare.pte") { stream("bare") }
        assertTrue(screen.status, "has no digest" in screen.status)
        assertTrue(screen.identity.startsWith("built in"))
        assertEquals(listOf(false, true), opened.map { it.closed })
        assertEquals(emptyList<String>(), kept())
    }

    @Test
    fun liveResultSaysThatItIsOne() {
        Screen.grantMicrophone()
        val screen = Screen()
        screen.listen.performClick()
        Scene.microphone.hear(voice(5))
        screen.listen.performClick()
        screen.share.performClick()
        assertTrue("Live, by the microphone" in sharedText(screen))
    }

    @Test
    fun licencesAreShown() {
        val screen = Screen()
        screen.licences.performClick()
        val started = shadowOf(screen.activity).nextStartedActivity
        assertEquals(LicencesActivity::class.java.name, started.component!!.className)
        assertTrue("contains no notices" in notices())
        val file = File(System.getProperty("root", ".."), "build/android/licences.txt")
        assumeTrue("$file is not there: make test-android writes it", file.exists())
        Scene.notices = { file.inputStream() }
        assertEquals(file.readText(), notices(picture = "licences"))
    }

    private fun notices(picture: String? = null): String {
        val shown = Robolectric.buildActivity(LicencesActivity::class.java).setup().get()
        if (picture != null) picture(shown, picture)
        return shown.findViewById<TextView>(R.id.notices)!!.text.toString()
    }

    @Test
    fun runtimeIsWhatTheBuildHasNoted() {
        val stated = "artifact=org.pytorch:executorch-android:1.5.1\nexecutorch=1.5.1\n"
        assertEquals(
            PackedRuntime("org.pytorch:executorch-android:1.5.1", "1.5.1"),
            PackedRuntime.read(stated.byteInputStream()),
        )
        assertEquals(PackedRuntime("npm x 1", null), PackedRuntime.read("artifact=npm x 1\nexecutorch=\n".byteInputStream()))
    }
}
