package org.scriptable.scorer

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.cos
import kotlin.math.floor
import kotlin.math.min
import kotlin.math.sin

/** Two rates without a common divisor would need gigabytes of taps. */
private const val MAX_KERNEL = 20_000_000L

/** A header that says 1 Hz must not turn a megabyte into gigabytes. */
private const val MAX_STRETCH = 16

/** Samples, 64 MB of them: a quarter of an hour at 16 kHz. */
private const val MAX_LENGTH = 16L * 1024 * 1024

/**
 * The contract's resampler, `sinc_interp_hann`.
 *
 * y[j] = Σᵢ x[i]·(b/r)·sinc(b·τ)·cos²(π·b·τ/(2·z)), τ = i/r − j/q, over |b·τ| < z, with the rates r
 * and q divided by their greatest common divisor, b = rolloff·min(r, q), z zero crossings a side and
 * sinc(x) = sin(πx)/(πx). Outputs q apart share their taps.
 */
class Resampler(sourceRate: Int, targetRate: Int, zeroCrossings: Int, rolloff: Double) {
    private val divisor = gcd(sourceRate, targetRate)
    private val source = sourceRate / divisor
    private val target = targetRate / divisor
    private val phases: List<Phase>

    init {
        if (source.toLong() * target > MAX_KERNEL || target > MAX_STRETCH.toLong() * source) {
            throw AudioException("$sourceRate Hz cannot be resampled to $targetRate Hz here")
        }
        val bandwidth = rolloff * min(source, target)
        phases = List(target) { phase(it, bandwidth, zeroCrossings) }
    }

    /** [N] samples → [⌈N·target/source⌉]; beyond the ends there is silence. */
    fun resample(waveform: FloatArray): FloatArray {
        if (source == target) return waveform
        val length = (waveform.size.toLong() * target + source - 1) / source
        if (length > MAX_LENGTH) throw AudioException("$length samples after resampling; cut it shorter")
        return FloatArray(length.toInt()) { index ->
            val phase = phases[index % target]
            val start = (index / target).toLong() * source + phase.first
            var sum = 0.0
            for (tap in phase.taps.indices) {
                val at = start + tap
                if (at >= 0 && at < waveform.size) sum += waveform[at.toInt()] * phase.taps[tap]
            }
            sum.toFloat()
        }
    }

    private fun phase(index: Int, bandwidth: Double, zeroCrossings: Int): Phase {
        val centre = index.toDouble() * source / target
        val reach = zeroCrossings * source / bandwidth
        val first = ceil(centre - reach).toInt()
        val last = floor(centre + reach).toInt()
        val taps =
            DoubleArray(last - first + 1) { tap ->
                val t = bandwidth * ((first + tap).toDouble() / source - index.toDouble() / target)
                tapAt(t, zeroCrossings) * bandwidth / source
            }
        return Phase(first, taps)
    }

    private fun tapAt(t: Double, zeroCrossings: Int): Double {
        if (abs(t) >= zeroCrossings) return 0.0
        val window = cos(PI * t / (2 * zeroCrossings)).let { it * it }
        return if (t == 0.0) window else window * sin(PI * t) / (PI * t)
    }

    private class Phase(val first: Int, val taps: DoubleArray)
}

private tailrec fun gcd(a: Int, b: Int): Int = if (b == 0) a else gcd(b, a % b)
