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
 * Live audio at the contract's sample rate → a verdict for each window, or for each chunk of a model
 * of streams.
 *
 * The windows are those that the contract cuts of a recording: the first when its number of samples
 * has been heard, then one each hop. The verdict is on the mean of the last [smoothing] windows that
 * the contract allows a decision on; on a window that it does not, the verdict is undecided. Chunks
 * are those of [StreamScorer], whose verdict is on all that was heard.
 */
class LiveScorer(private val scorer: Scorer, smoothing: Int = SMOOTHING) {
    private val contract = scorer.contract
    private val hear: (FloatArray, (Verdict) -> Unit) -> Unit =
        contract.windows?.let { LiveWindows(scorer, it, smoothing)::hear } ?: streamed(StreamScorer(scorer))
    private var heard = 0L

    /** What [accept] expects, in hertz. */
    val sampleRate: Int
        get() = contract.audio.sampleRate

    /** Share of what the first decision needs that has been heard, in [0, 1]. */
    val filled: Double
        get() = minOf(1.0, heard.toDouble() / contract.neededSamples)

    /** On the last windows, or on all chunks; null until the first one is full. */
    var verdict: Verdict? = null
        private set

    /**
     * Takes [count] samples of [pcm] and calls [onVerdict] for each window or chunk that they complete.
     *
     * Scores on the caller's thread: call it from one thread, and not from the screen's.
     *
     * @throws ScorerException when the model fails, or gives a window a score that is not finite.
     */
    fun accept(pcm: ShortArray, count: Int = pcm.size, onVerdict: (Verdict) -> Unit = {}) {
        heard += count
        hear(decodePcm16(pcm, count, 1, contract.audio.pcm16Divisor)) {
            verdict = it
            onVerdict(it)
        }
    }

    companion object {
        /** Windows: about ten seconds of the demo's model. */
        const val SMOOTHING = 4

        private fun streamed(stream: StreamScorer) = { block: FloatArray, onVerdict: (Verdict) -> Unit ->
            stream.hear(block, onVerdict = onVerdict)
        }
    }
}

private class LiveWindows(private val scorer: Scorer, private val windows: WindowContract, smoothing: Int) {
    private val buffer = RingBuffer(windows.numSamples)
    private val mean = MovingMean(smoothing)

    fun hear(block: FloatArray, onVerdict: (Verdict) -> Unit) {
        for (sample in block) {
            buffer.write(sample)
            val past = buffer.total - windows.numSamples
            if (past >= 0 && past % windows.hop == 0L) onVerdict(judge(buffer.snapshot()))
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
}

/** Level of [count] samples relative to full scale, in decibels, never below [floor]. */
fun levelDb(pcm: ShortArray, count: Int, divisor: Int, floor: Double): Double {
    if (count == 0) return floor
    var power = 0.0
    for (index in 0 until count) power += (pcm[index] / divisor.toDouble()).let { it * it }
    return maxOf(floor, 10 * kotlin.math.log10(power / count))
}
