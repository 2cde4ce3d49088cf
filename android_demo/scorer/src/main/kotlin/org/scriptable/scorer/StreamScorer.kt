package org.scriptable.scorer

import java.util.Locale

/**
 * Samples of a stream as they come → a verdict after each chunk, on all that was heard since the
 * stream began. Used by one thread.
 *
 * @throws ContractException when the contract of [scorer] is of windows.
 */
class StreamScorer(private val scorer: Scorer) {
    private val contract = scorer.contract
    private val stream =
        contract.stream ?: throw ContractException("score contract: task: expected streaming, got spoofing")
    private val waiting = FloatArray(stream.chunkSamples)
    private var filled = 0
    private var meter = Meter(contract.audio.sampleRate)

    /** Samples scored since the stream began. */
    var samples = 0L
        private set

    /** Samples taken since the reset, those that wait for the rest of their chunk included. */
    var position = 0L
        private set

    /** How often a gap was so long that the stream began anew. */
    var restarts = 0
        private set

    /** What the model gave after the last chunk, zeros at the beginning. */
    var state = FloatArray(stream.stateSize)
        private set

    /** Begins a new stream, at its sample 0; what waits for the rest of its chunk is dropped. */
    fun reset() {
        position = 0
        begin()
    }

    private fun begin() {
        state = FloatArray(stream.stateSize)
        samples = 0
        filled = 0
        meter = Meter(contract.audio.sampleRate)
    }

    /**
     * Takes any number of mono samples at the contract's rate, and calls [onVerdict] for each chunk
     * that they complete.
     *
     * [at] is the position of the first, counted from the reset, where the source has a clock. What
     * was heard already is left out; after a gap the samples that wait are dropped, and after one
     * longer than the contract's longest gap the stream begins anew.
     *
     * @throws ScorerException when the model fails; the state stays as it was.
     */
    fun hear(block: FloatArray, at: Long? = null, onVerdict: (Verdict) -> Unit) {
        var next = if (at == null) 0 else follow(block.size, at)
        while (next < block.size) {
            val taken = minOf(block.size - next, waiting.size - filled)
            block.copyInto(waiting, filled, next, next + taken)
            next += taken
            filled += taken
            position += taken
            if (filled == waiting.size) {
                filled = 0
                onVerdict(hearChunk(waiting.copyOf()))
            }
        }
    }

    /** How many of the block's first samples were heard already. */
    private fun follow(length: Int, at: Long): Int {
        if (at > position) {
            if (at - position > stream.longestGap) {
                begin()
                restarts++
            }
            filled = 0
            position = at
        }
        return minOf(position - at, length.toLong()).toInt()
    }

    /**
     * Takes exactly one chunk.
     *
     * @throws ScorerException when it has another length or the model fails; the state stays as it was.
     */
    fun hearChunk(chunk: FloatArray): Verdict {
        if (chunk.size != stream.chunkSamples) {
            throw AudioException("chunk: expected ${stream.chunkSamples} samples, got ${chunk.size}")
        }
        if (!finite(chunk)) return undecided("refused: the chunk holds NaN or infinite samples")
        val step = scorer.step(chunk, state)
        if (!finite(floatArrayOf(step.score)) || !finite(step.state)) {
            return undecided("refused: the model gives no finite number for the chunk")
        }
        state = step.state
        samples += chunk.size
        meter.hearChannel(chunk)
        meter.hear(chunk)
        return judge(step.score.toDouble())
    }

    private fun judge(score: Double): Verdict {
        contract.guards?.refusal(meter)?.let { return undecided(it) }
        val row = stream.at(samples)
        return if (row == null) undecided(tooEarly()) else scorer.verdict(score, row.scale * score + row.offset)
    }

    private fun tooEarly(): String {
        val rate = contract.audio.sampleRate.toDouble()
        val first = stream.calibration.first().samples
        return String.format(Locale.ROOT, "too early: %.3f s, decisions begin at %.3f s", samples / rate, first / rate)
    }

    private fun undecided(reason: String) = scorer.undecided(reason)

    private fun finite(numbers: FloatArray) = numbers.all { it.isFinite() }
}
