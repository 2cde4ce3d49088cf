package org.scriptable.scorer

/** The mean of the last [capacity] values. */
class MovingMean(private val capacity: Int) {
    private val values = ArrayDeque<Double>()

    init {
        require(capacity > 0) { "capacity: expected 1 or more values, got $capacity" }
    }

    /** Adds one value and returns the mean. */
    fun add(value: Double): Double {
        if (values.size == capacity) values.removeFirst()
        values.addLast(value)
        return values.sum() / values.size
    }
}

/**
 * Live audio at the contract's sample rate → a verdict for each window.
 *
 * The windows are those that the contract cuts of a recording: the first when its number of samples
 * has been heard, then one each hop. The verdict is on the mean of the last [smoothing] windows that
 * the contract allows a decision on; on a window that it does not, the verdict is undecided.
 */
class LiveScorer(private val scorer: Scorer, smoothing: Int = SMOOTHING) {
    private val windows = scorer.contract.windows
    private val buffer = RingBuffer(windows.numSamples)
    private val mean = MovingMean(smoothing)

    /** What [accept] expects, in hertz. */
    val sampleRate: Int
        get() = scorer.contract.audio.sampleRate

    /** Share of the first window that has been heard, in [0, 1]. */
    val filled: Double
        get() = minOf(1.0, buffer.total.toDouble() / windows.numSamples)

    /** On the last windows; null until the first one is full. */
    var verdict: Verdict? = null
        private set

    /**
     * Takes [count] samples of [pcm] and calls [onVerdict] for each window that they complete.
     *
     * Scores on the caller's thread: call it from one thread, and not from the screen's.
     *
     * @throws ScorerException when the model fails, or gives a score that is not finite.
     */
    fun accept(pcm: ShortArray, count: Int = pcm.size, onVerdict: (Verdict) -> Unit = {}) {
        for (sample in decodePcm16(pcm, count, 1, scorer.contract.audio.pcm16Divisor)) {
            buffer.write(sample)
            val past = buffer.total - windows.numSamples
            if (past >= 0 && past % windows.hop == 0L) {
                onVerdict(judge(buffer.snapshot()).also { verdict = it })
            }
        }
    }

    /** What allows no decision has no part in the mean either. */
    private fun judge(window: FloatArray): Verdict {
        val contract = scorer.contract
        val meter = Meter(contract.audio.sampleRate)
        meter.hearChannel(window)
        meter.hear(window)
        val heard = buffer.total.toDouble() / contract.audio.sampleRate
        contract.guards?.refusal(meter, heard)?.let { return scorer.undecided(it) }
        return scorer.verdict(mean.add(scorer.scoreWindow(window).toDouble()))
    }

    companion object {
        /** Windows: about ten seconds of the demo's model. */
        const val SMOOTHING = 4
    }
}

/** Level of [count] samples relative to full scale, in decibels, never below [floor]. */
fun levelDb(pcm: ShortArray, count: Int, divisor: Int, floor: Double): Double {
    if (count == 0) return floor
    var power = 0.0
    for (index in 0 until count) power += (pcm[index] / divisor.toDouble()).let { it * it }
    return maxOf(floor, 10 * kotlin.math.log10(power / count))
}
