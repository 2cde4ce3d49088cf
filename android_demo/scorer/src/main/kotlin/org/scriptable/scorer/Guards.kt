package org.scriptable.scorer

import java.util.Locale
import kotlin.math.abs
import kotlin.math.log10
import kotlin.math.max
import kotlin.math.pow

/** From here on a sample counts as clipped. */
const val CLIP_LEVEL = 0.999

private const val FLOOR = 1e-20
private const val MOST_TONALITY = 120.0
private const val COLLINEAR = 1e-12

/**
 * On what no decision is made; on or inside these bounds audio is scored.
 *
 * What is measured, and how, is written in the exporter's `runtime/guards.py`.
 */
data class Guards(
    val minSeconds: Double,
    val minLevelDbfs: Double,
    val maxAmplitude: Double,
    val maxTonalityDb: Double,
    val maxClipped: Double,
    val maxCancellationDb: Double,
) {
    /** Why nothing can be said about what [meter] heard; null: it can. Of live audio, [seconds] of it. */
    fun refusal(meter: Meter, seconds: Double = meter.seconds): String? =
        when {
            seconds < minSeconds ->
                text("too short: %.3f s, at least %.3f s are needed", seconds, minSeconds)
            meter.amplitude > maxAmplitude ->
                text(
                    "out of scale: samples up to %.1f, where full scale is 1 and %.1f the most",
                    meter.amplitude,
                    maxAmplitude,
                )
            meter.cancellationDb > maxCancellationDb && meter.loudestChannelDbfs >= minLevelDbfs ->
                text("channels cancel: mixing them down loses %.1f dB; give one of them", meter.cancellationDb)
            meter.levelDbfs < minLevelDbfs ->
                text("too quiet: %.1f dBFS, at least %.1f are needed", meter.levelDbfs, minLevelDbfs)
            meter.clipped > maxClipped ->
                text(
                    "clipped: %.1f %% of the samples, at most %.1f %% may be",
                    100 * meter.clipped,
                    100 * maxClipped,
                )
            meter.tonalityDb > maxTonalityDb ->
                text(
                    "a tone: %.1f dB of it can be predicted, speech keeps below %.1f",
                    meter.tonalityDb,
                    maxTonalityDb,
                )
            else -> null
        }

    private fun text(format: String, vararg values: Double) =
        String.format(Locale.ROOT, format, *values.toTypedArray())
}

/** Gathers what [Guards] look at. Used by one thread. */
class Meter(private val sampleRate: Int) {
    private class Sums(var total: Double = 0.0, var squares: Double = 0.0) {
        fun add(value: Double) {
            total += value
            squares += value * value
        }
    }

    private val waveform = Sums()
    private var samples = 0L
    private var frames = 0L
    private var clippedSamples = 0L

    /** Of each channel, and last of their mean. */
    private var channels = emptyList<Sums>()

    /** Products of a sample, the one before, the one before that, and 1. */
    private val triples = Array(4) { DoubleArray(4) }
    private var before = 0.0
    private var beforeThat = 0.0

    var amplitude = 0.0
        private set

    val seconds: Double
        get() = samples.toDouble() / sampleRate

    val levelDbfs: Double
        get() = level(waveform, samples)

    val clipped: Double
        get() = if (frames == 0L) 0.0 else clippedSamples / (frames.toDouble() * (channels.size - 1))

    val loudestChannelDbfs: Double
        get() = if (frames == 0L) levelDbfs else channels.dropLast(1).maxOf { level(it, frames) }

    val cancellationDb: Double
        get() {
            if (frames == 0L || channels.size < 3) return 0.0
            return loudestChannelDbfs - level(channels.last(), frames) - 20 * log10(channels.size - 1.0)
        }

    /** How much of the waveform its last two samples foretell. */
    val tonalityDb: Double
        get() {
            val count = triples[3][3]
            if (count < 3) return 0.0
            fun covariance(i: Int, j: Int) =
                triples[i][j] / count - triples[i][3] / count * (triples[j][3] / count)
            val aa = covariance(0, 0)
            val ab = covariance(0, 1)
            val ac = covariance(0, 2)
            val bb = covariance(1, 1)
            val bc = covariance(1, 2)
            val cc = covariance(2, 2)
            if (aa <= FLOOR || bb <= FLOOR) return 0.0
            val determinant = bb * cc - bc * bc
            val foretold =
                if (determinant > COLLINEAR * bb * cc) {
                    (ab * ab * cc - 2 * ab * ac * bc + ac * ac * bb) / determinant
                } else {
                    ab * ab / bb
                }
            return 10 * log10(aa / max(aa - foretold, aa * 10.0.pow(-MOST_TONALITY / 10)))
        }

    /** Interleaved 16-bit samples of a file, before they are mixed down. */
    fun hearChannels(pcm: ShortArray, count: Int, divisor: Int) = hearFrames(pcm.size / count, count) {
        pcm[it].toDouble() / divisor
    }

    /** One channel in floating point. */
    fun hearChannel(block: FloatArray) = hearFrames(block.size, 1) { block[it].toDouble() }

    private inline fun hearFrames(number: Int, count: Int, sample: (Int) -> Double) {
        if (channels.isEmpty()) channels = List(count + 1) { Sums() }
        for (frame in 0 until number) {
            var sum = 0.0
            for (channel in 0 until count) {
                val value = sample(frame * count + channel)
                sum += value
                channels[channel].add(value)
                if (abs(value) >= CLIP_LEVEL) clippedSamples++
            }
            channels[count].add(sum / count)
        }
        frames += number
    }

    /** Samples of the waveform that windows are cut from. */
    fun hear(block: FloatArray) {
        val values = DoubleArray(4)
        values[3] = 1.0
        for (sample in block) {
            val value = sample.toDouble()
            amplitude = max(amplitude, abs(value))
            waveform.add(value)
            if (samples >= 2) {
                values[0] = value
                values[1] = before
                values[2] = beforeThat
                for (row in 0..3) for (column in row..3) triples[row][column] += values[row] * values[column]
            }
            beforeThat = before
            before = value
            samples++
        }
    }

    private fun level(sums: Sums, count: Long): Double {
        if (count == 0L) return 10 * log10(FLOOR)
        val mean = sums.total / count
        return 10 * log10(max(FLOOR, sums.squares / count - mean * mean))
    }
}
