package org.scriptable.scorer

/**
 * Where the windows of a recording begin: 0, hop, 2·hop, ... as long as they fit, and one more that
 * ends with the recording when samples are left; a recording no longer than a window has one.
 */
fun windowStarts(length: Int, numSamples: Int, hop: Int): List<Int> {
    require(length > 0) { "length: expected 1 or more samples, got $length" }
    require(numSamples > 0) { "numSamples: expected 1 or more samples, got $numSamples" }
    require(hop > 0) { "hop: expected 1 or more samples, got $hop" }
    val starts = (0..maxOf(length - numSamples, 0) step hop).toMutableList()
    if (starts.last() + numSamples < length) starts.add(length - numSamples)
    return starts
}

/** One recording → its windows; shorter than a window, it is repeated from its start. */
fun cutWindows(waveform: FloatArray, windows: WindowContract): Sequence<FloatArray> =
    windowStarts(waveform.size, windows.numSamples, windows.hop).asSequence().map { start ->
        FloatArray(windows.numSamples) { waveform[(start + it) % waveform.size] }
    }
