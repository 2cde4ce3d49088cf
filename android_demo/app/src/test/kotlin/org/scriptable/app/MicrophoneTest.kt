package org.scriptable.app

import android.media.AudioFormat
import android.media.AudioRecord
import android.media.AudioRecordingConfiguration
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.util.ReflectionHelpers
import org.robolectric.util.ReflectionHelpers.ClassParameter

/** The platform's recorder, as Robolectric has it. */
@RunWith(RobolectricTestRunner::class)
@Config(application = SceneApplication::class, sdk = [35])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MicrophoneTest {
    /** What Android tells of a recorder; Robolectric has no answer of its own. */
    private fun configuration(record: AudioRecord, silenced: Boolean): AudioRecordingConfiguration =
        ReflectionHelpers.callConstructor(
                AudioRecordingConfiguration::class.java,
                ClassParameter.from(Int::class.java, 1),
                ClassParameter.from(Int::class.java, record.audioSessionId),
                ClassParameter.from(Int::class.java, record.audioSource),
                ClassParameter.from(AudioFormat::class.java, record.format),
                ClassParameter.from(AudioFormat::class.java, record.format),
                ClassParameter.from(Int::class.java, 1),
                ClassParameter.from(String::class.java, "org.scriptable.app"),
            )
            .also { ReflectionHelpers.setField(it, "mClientSilenced", silenced) }

    @Test
    fun silenceOfTheSystemEndsTheRecordingAndGivesNoBlock() {
        val asked = AtomicInteger()
        val blocks = AtomicInteger()
        val lost = CountDownLatch(1)
        val losses = mutableListOf<AudioLoss>()
        val microphone = Microphone { configuration(it, silenced = asked.incrementAndGet() > 2) }
        microphone.start(
            16000,
            onBlock = {
                assertEquals(1600, it.size)
                blocks.incrementAndGet()
            },
            onLoss = {
                losses.add(it)
                lost.countDown()
            },
        )
        assertTrue(lost.await(20, TimeUnit.SECONDS))
        microphone.stop()
        assertEquals(listOf<AudioLoss>(AudioLoss.Silenced), losses)
        assertEquals(2, blocks.get())
    }

    @Test
    fun recorderWithoutAConfigurationIsHeard() {
        val blocks = CountDownLatch(3)
        val microphone = Microphone { null }
        microphone.start(16000, onBlock = { blocks.countDown() }, onLoss = {})
        assertTrue(blocks.await(20, TimeUnit.SECONDS))
        microphone.stop()
        microphone.start(16000, onBlock = {}, onLoss = {})
        microphone.stop()
    }
}
