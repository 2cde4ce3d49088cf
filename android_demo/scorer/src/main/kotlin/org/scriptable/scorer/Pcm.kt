package org.scriptable.scorer

/** Interleaved 16-bit samples → one waveform: divided by [divisor], channels averaged. */
fun decodePcm16(samples: ShortArray, count: Int, channels: Int, divisor: Int): FloatArray {
    require(channels > 0) { "channels: expected 1 or more, got $channels" }
    require(count % channels == 0) { "count: expected a multiple of $channels channels, got $count" }
    val scale = 1.0f / divisor
    return FloatArray(count / channels) { frame ->
        var sum = 0.0f
        for (channel in 0 until channels) sum += samples[frame * channels + channel] * scale
        sum / channels
    }
}
