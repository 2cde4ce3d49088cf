package org.scriptable.scorer

import java.io.Closeable
import java.io.File
import java.io.InputStream
import kotlin.random.Random

/**
 * What a recording, or the last windows of a live one, scored and what that means.
 *
 * Undecided, it has no numbers but a [reason].
 */
data class Verdict(
    val score: Double?,
    val llr: Double?,
    val posterior: Double?,
    val threshold: Double,
    val decision: Decision,
    val reason: String? = null,
)

/**
 * A recording's verdict with the scores of the windows that it is the mean of, or, of a model of
 * streams, with what was known after each chunk.
 */
class ScoredRecording(
    val verdict: Verdict,
    val windowScores: FloatArray,
    val chunks: List<Verdict> = emptyList(),
)

/** An engine together with what its score means. */
class Scorer(private val engine: Engine, val contract: Contract) : Closeable {
    private val windows: WindowContract
        get() = contract.windows ?: throw ContractException("score contract: task: expected spoofing, got streaming")

    /**
     * Raw score of one window.
     *
     * @throws ScorerException when it is not finite, or the window is not.
     */
    fun scoreWindow(window: FloatArray): Float {
        if (window.any { it.isNaN() || it.isInfinite() }) {
            throw AudioException("the audio contains NaN or infinite samples")
        }
        return finite(engine.score(window))
    }

    private fun finite(score: Float): Float {
        if (!score.isFinite()) throw ScorerException("the model gives a score that is not finite")
        return score
    }

    /**
     * Scores a window, or a chunk, of faint noise.
     *
     * @throws ScorerException when the model does not take what its contract says, or fails.
     */
    fun tryOut() {
        val random = Random(0)
        val stream = contract.stream
        val size = stream?.chunkSamples ?: windows.numSamples
        val noise = FloatArray(size) { (random.nextFloat() - 0.5f) * FAINT }
        if (stream == null) scoreWindow(noise) else finite(step(noise, FloatArray(stream.stateSize)).score)
    }

    /**
     * What a model of streams gives for a [chunk], finite or not.
     *
     * @throws ScorerException when the new state has another size.
     */
    internal fun step(chunk: FloatArray, state: FloatArray): Step {
        val step = engine.step(chunk, state)
        if (step.state.size != state.size) {
            throw ScorerException("the model gives a state of ${step.state.size} numbers, expected ${state.size}")
        }
        return step
    }

    /** What a raw score means. */
    fun verdict(score: Double, llr: Double = contract.llr(score)): Verdict {
        if (llr.isInfinite()) throw ScorerException("scale * score + offset overflows at a score of $score")
        return Verdict(
            score,
            llr,
            contract.posterior(llr),
            contract.decision.threshold,
            contract.decide(llr),
        )
    }

    /** No decision, for a [reason]. */
    fun undecided(reason: String) =
        Verdict(null, null, null, contract.decision.threshold, Decision.UNDECIDED, reason)

    /**
     * A waveform at the contract's rate → the mean of its windows' scores, or the verdict after its
     * last chunk, if it allows a decision.
     */
    fun scoreWaveform(waveform: FloatArray): ScoredRecording {
        val meter = Meter(contract.audio.sampleRate)
        meter.hearChannel(waveform)
        return judge(waveform, meter)
    }

    /** The same of a file, whose channels are looked at before they are mixed down. */
    fun score(wav: Wav): ScoredRecording {
        val meter = Meter(contract.audio.sampleRate)
        meter.hearChannels(wav.samples, wav.channels, contract.audio.pcm16Divisor)
        return judge(waveform(wav), meter)
    }

    private fun judge(waveform: FloatArray, meter: Meter): ScoredRecording {
        meter.hear(waveform)
        if (contract.stream != null) return judgeStream(waveform, meter)
        contract.guards?.refusal(meter)?.let { return ScoredRecording(undecided(it), FloatArray(0)) }
        val scores = cutWindows(waveform, windows).map { scoreWindow(it) }.toList().toFloatArray()
        return ScoredRecording(verdict(scores.sumOf { it.toDouble() } / scores.size), scores)
    }

    /** The meter knows the channels, and the samples that filled no chunk. */
    private fun judgeStream(waveform: FloatArray, meter: Meter): ScoredRecording {
        val chunks = mutableListOf<Verdict>()
        StreamScorer(this).hear(waveform, onVerdict = chunks::add)
        val reason = contract.guards?.refusal(meter)
        val short = "too short: less than a chunk of ${contract.stream?.chunkSamples} samples"
        val verdict = if (reason != null) undecided(reason) else chunks.lastOrNull() ?: undecided(short)
        return ScoredRecording(verdict, FloatArray(0), chunks)
    }

    /** A WAV file, of any rate and number of channels, as the contract says. */
    fun scoreWav(stream: InputStream): ScoredRecording = score(Wav.read(stream))

    /** Scale, mixdown and resampling. */
    fun waveform(wav: Wav): FloatArray {
        val audio = contract.audio
        val mono = decodePcm16(wav.samples, wav.samples.size, wav.channels, audio.pcm16Divisor)
        return Resampler(wav.sampleRate, audio.sampleRate, audio.lowpassFilterWidth, audio.rolloff)
            .resample(mono)
    }

    override fun close() = engine.close()

    companion object {
        private const val FAINT = 0.01f

        /**
         * Loads a `.pte` from `python -m export`, on the ExecuTorch runtime that the app packs.
         *
         * @throws ScorerException when it cannot be run here, or says not what its score means.
         */
        fun load(file: File): Scorer = open(ExecuTorchEngine.open(file))

        /**
         * Reads the contract of [engine]; closes the engine when it is refused, or promises a digest
         * that the file does not hold.
         */
        fun open(engine: Engine): Scorer {
            try {
                val contract = Contract.parse(engine.contract())
                if (contract.schemaVersion > 1 && engine.fileSha256 == null) {
                    throw ContractException("the model's file has no digest, although its contract promises one")
                }
                return Scorer(engine, contract)
            } catch (error: ScorerException) {
                engine.close()
                throw error
            }
        }
    }
}
