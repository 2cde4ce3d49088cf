package org.scriptable.app

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.AudioRecordingConfiguration
import android.media.MediaRecorder
import android.os.Build
import java.io.IOException
import kotlin.concurrent.thread

/** Why there will be no more audio. */
sealed interface AudioLoss {
    data class Failed(val reason: String) : AudioLoss

    /** The system gives this app zeros, because a call or another app has the microphone. */
    data object Silenced : AudioLoss
}

/** Mono 16-bit audio as it comes in. */
interface AudioSource {
    /**
     * Calls [onBlock] for each block, and [onLoss] when there will be no more, on a thread of its
     * own, until [stop]. The array is the receiver's.
     *
     * @throws IOException when the audio cannot be had.
     */
    fun start(sampleRate: Int, onBlock: (ShortArray) -> Unit, onLoss: (AudioLoss) -> Unit)

    /** Returns when no block will come any more. */
    fun stop()
}

/** The device's microphone, without the effects that platforms apply to calls. */
class Microphone(
    private val configuration: (AudioRecord) -> AudioRecordingConfiguration? = ::configurationOf
) : AudioSource {
    private var record: AudioRecord? = null
    private var reader: Thread? = null

    // The activity asks for the permission before it starts a source.
    @SuppressLint("MissingPermission")
    override fun start(sampleRate: Int, onBlock: (ShortArray) -> Unit, onLoss: (AudioLoss) -> Unit) {
        check(record == null) { "the microphone is in use" }
        val minimum = AudioRecord.getMinBufferSize(sampleRate, CHANNEL, ENCODING)
        if (minimum <= 0) throw IOException("it does not record at $sampleRate Hz")
        val opened =
            AudioRecord(
                MediaRecorder.AudioSource.VOICE_RECOGNITION,
                sampleRate,
                CHANNEL,
                ENCODING,
                maxOf(minimum, 2 * sampleRate),
            )
        if (opened.state != AudioRecord.STATE_INITIALIZED) {
            opened.release()
            throw IOException("it cannot be opened")
        }
        opened.startRecording()
        if (opened.recordingState != AudioRecord.RECORDSTATE_RECORDING) {
            opened.release()
            throw IOException("another app may be using it")
        }
        record = opened
        reader = thread(name = "microphone") { read(opened, sampleRate / BLOCKS_A_SECOND, onBlock, onLoss) }
    }

    private fun read(
        from: AudioRecord,
        size: Int,
        onBlock: (ShortArray) -> Unit,
        onLoss: (AudioLoss) -> Unit,
    ) {
        val block = ShortArray(size)
        while (true) {
            val count = from.read(block, 0, size)
            if (from.recordingState != AudioRecord.RECORDSTATE_RECORDING) return
            if (count < 0) return onLoss(AudioLoss.Failed("reading failed with code $count"))
            if (configuration(from)?.isClientSilenced == true) return onLoss(AudioLoss.Silenced)
            if (count > 0) onBlock(block.copyOf(count))
        }
    }

    override fun stop() {
        record?.stop()
        reader?.join()
        record?.release()
        record = null
        reader = null
    }

    private companion object {
        const val CHANNEL = AudioFormat.CHANNEL_IN_MONO
        const val ENCODING = AudioFormat.ENCODING_PCM_16BIT
        const val BLOCKS_A_SECOND = 10
    }
}

/** Before Android 10 two apps cannot record at once, and the one that loses gets an error. */
private fun configurationOf(record: AudioRecord): AudioRecordingConfiguration? =
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) record.activeRecordingConfiguration else null
