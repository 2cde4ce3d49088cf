package org.scriptable.scorer

import kotlin.math.ceil
import kotlin.math.exp
import kotlin.math.ln

/** From a file's samples to one mono waveform in [−1, 1]. */
data class AudioContract(
    val sampleRate: Int,
    val pcm16Divisor: Int,
    val lowpassFilterWidth: Int,
    val rolloff: Double,
)

/** From a waveform to the model's input. */
data class WindowContract(val numSamples: Int, val hop: Int)

/** Scale and offset of scores from so many [samples] on. */
data class ElapsedCalibration(val samples: Long, val scale: Double, val offset: Double)

/** From samples as they come to calls of the model, and what is kept between two: zeros at first. */
data class StreamContract(
    val chunkSamples: Int,
    val stateSize: Int,
    val warmupSamples: Int,
    /** Samples that may be missing between two; after more the stream begins anew. */
    val longestGap: Int,
    /** By rising samples, one at least. */
    val calibration: List<ElapsedCalibration>,
) {
    /** The row that holds after so many [samples]; null before the first. */
    fun at(samples: Long): ElapsedCalibration? = calibration.lastOrNull { it.samples <= samples }
}

/**
 * From the raw score to a decision: bona fide when scale·score + offset ≥ threshold.
 *
 * Of a stream, scale and offset are those of long ones, and [StreamContract.calibration] has all.
 */
data class DecisionContract(
    val scale: Double,
    val offset: Double,
    val prior: Double,
    val threshold: Double,
    val operatingPoint: String,
)

/**
 * What a spoofing score means; every number that the app shows comes from here.
 *
 * A model has either [windows] or a [stream]; the other is null. Of version 1, [guards] and [fileSha256] are null: the model decides on anything, and its file cannot
 * be verified.
 */
data class Contract(
    val schemaVersion: Int,
    val model: String,
    val audio: AudioContract,
    val windows: WindowContract?,
    val stream: StreamContract?,
    val decision: DecisionContract,
    val versions: Map<String, String>,
    val weightsSha256: String,
    val guards: Guards?,
    val fileSha256: String?,
) {
    /** The ExecuTorch that made the model, null when the contract does not name it. */
    val exporter: String?
        get() = versions[EXECUTORCH]

    /** Samples that a decision on live audio needs at least. */
    val neededSamples: Long
        get() {
            if (stream == null) return windows!!.numSamples.toLong()
            val guarded = ceil((guards?.minSeconds ?: 0.0) * audio.sampleRate).toLong()
            val needed = maxOf(guarded, stream.calibration.first().samples, 1L)
            return (needed + stream.chunkSamples - 1) / stream.chunkSamples * stream.chunkSamples
        }

    /** Raw score → log-likelihood ratio in nats. */
    fun llr(score: Double): Double = decision.scale * score + decision.offset

    /** LLR → probability of bona fide at the contract's prior. */
    fun posterior(llr: Double): Double {
        val logOdds = llr + ln(decision.prior / (1.0 - decision.prior))
        return if (logOdds >= 0) 1.0 / (1.0 + exp(-logOdds)) else exp(logOdds).let { it / (1.0 + it) }
    }

    /** LLR → decision. */
    fun decide(llr: Double): Decision =
        if (llr >= decision.threshold) Decision.BONAFIDE else Decision.SPOOF

    companion object {
        internal const val EXECUTORCH = "executorch"

        /**
         * Reads the JSON document that a spoofing artefact carries.
         *
         * @throws ContractException when a field is missing, unknown, or not what this scorer does.
         */
        fun parse(text: String): Contract = readContract(text)
    }
}

/** Spelled in JSON as [label]. */
enum class Decision(val label: String) {
    BONAFIDE("bonafide"),
    SPOOF("spoof"),

    /** The contract allows no decision on this audio. */
    UNDECIDED("undecided"),
}
