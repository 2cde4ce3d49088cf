package org.scriptable.scorer

/** The last [capacity] samples of a stream. Used by one thread. */
class RingBuffer(val capacity: Int) {
    private val samples = FloatArray(capacity)

    /** Samples written since the start. */
    var total = 0L
        private set

    init {
        require(capacity > 0) { "capacity: expected 1 or more samples, got $capacity" }
    }

    fun write(sample: Float) {
        samples[(total % capacity).toInt()] = sample
        total++
    }

    /** Oldest first, once [capacity] samples were written. */
    fun snapshot(): FloatArray {
        check(total >= capacity) { "snapshot: expected $capacity samples, got $total" }
        val start = (total % capacity).toInt()
        return FloatArray(capacity) { samples[(start + it) % capacity] }
    }
}
