package org.scriptable.scorer

import org.junit.Assume.assumeTrue

/** What the build tells the tests; without it they are skipped. */
internal fun given(property: String): String {
    val value = System.getProperty(property)
    assumeTrue("-D$property is not given: make test-android gives it", value != null)
    return value!!
}

/** A contract of streams like the exporter's: chunks of 40 samples, a state of 2 numbers. */
internal fun streaming(): String =
    guarded(minSeconds = 0.003)
        .replace("\"spoofing\"", "\"streaming\"")
        .replace(
            Regex("\"windows\": \\{[^}]*\\}"),
            """
            "stream": {
              "chunk_samples": 40, "state_size": 2, "initial_state": "zeros",
              "warmup_samples": 10, "tail": "drop", "refused": "keep_state", "longest_gap": 100
            }
            """
                .trimIndent(),
        )
        .replace(
            "\"scale\": 2.0, \"offset\": -1.0",
            """
            "calibration": [
              {"samples": 100, "scale": 2.0, "offset": -1.0},
              {"samples": 200, "scale": 4, "offset": 0.5}
            ]
            """
                .trimIndent(),
        )

/** As [document], of version 2, which has guards and a digest. */
internal fun guarded(numSamples: Int = 4, hop: Int = 2, minSeconds: Double = 0.0): String =
    document(numSamples, hop)
        .replace("\"schema_version\": 1", "\"schema_version\": 2")
        .replace(
            "\"versions\"",
            """
            "guards": {
              "min_seconds": $minSeconds, "min_level_dbfs": -60.0, "max_amplitude": 4.0,
              "max_tonality_db": 45.0, "clip_level": 0.999, "max_clipped": 0.1,
              "max_cancellation_db": 12.0
            },
            "precision": "float32", "notes": [], "file_sha256": "${"0".repeat(64)}", "versions"
            """
                .trimIndent(),
        )

/** A contract like the exporter's, of version 1, with a window of [numSamples] samples. */
internal fun document(
    numSamples: Int = 4,
    hop: Int = 2,
    executorch: String = "1.5.1",
    sampleRate: Int = 16000,
): String =
    """
    {
      "schema_version": 1, "task": "spoofing", "model": "test",
      "audio": {
        "sample_rate": $sampleRate, "pcm16_divisor": 32768, "mixdown": "mean",
        "resampler": "sinc_interp_hann", "resampler_lowpass_filter_width": 6,
        "resampler_rolloff": 0.99
      },
      "windows": {
        "num_samples": $numSamples, "hop": $hop,
        "tail": "align_end", "short": "repeat", "combine": "mean"
      },
      "decision": {
        "polarity": "higher_is_bonafide", "scale": 2.0, "offset": -1.0, "prior": 0.5,
        "threshold": 0.25, "operating_point": "test"
      },
      "versions": { "scriptable": "0.1.0", "executorch": "$executorch" },
      "weights_sha256": "${"0".repeat(64)}"
    }
    """
        .trimIndent()

/** As if the state were the chunks so far and their loudest sample, which is the score. */
internal fun counted(chunk: FloatArray, state: FloatArray): Step {
    val loudest = maxOf(state[1], chunk.max())
    return Step(loudest, floatArrayOf(state[0] + 1, loudest))
}

/** Scores a window by [rule], as if a model did. */
internal class RuleEngine(
    private val text: String = document(),
    override val fileSha256: String? = "0".repeat(64),
    private val stepRule: (FloatArray, FloatArray) -> Step = ::counted,
    private val rule: (FloatArray) -> Float = { it.average().toFloat() },
) : Engine {
    var closed = false
        private set

    override fun contract() = text

    override fun score(window: FloatArray) = rule(window)

    override fun step(chunk: FloatArray, state: FloatArray) = stepRule(chunk, state)

    override fun close() {
        closed = true
    }
}

/** A RIFF file around [data]; [promised] is the size in its header. */
internal fun riff(
    data: ByteArray,
    rate: Int = 16000,
    channels: Int = 1,
    bits: Int = 16,
    format: Int = 1,
    promised: Int = data.size,
    before: ByteArray = ByteArray(0),
): ByteArray {
    val header = java.nio.ByteBuffer.allocate(44 + before.size).order(java.nio.ByteOrder.LITTLE_ENDIAN)
    header.put("RIFF".toByteArray()).putInt(36 + promised).put("WAVE".toByteArray())
    header.put("fmt ".toByteArray()).putInt(16).putShort(format.toShort()).putShort(channels.toShort())
    header.putInt(rate).putInt(rate * channels * bits / 8).putShort((channels * bits / 8).toShort())
    header.putShort(bits.toShort()).put(before).put("data".toByteArray()).putInt(promised)
    return header.array() + data
}

internal fun pcm(vararg samples: Int): ByteArray {
    val buffer = java.nio.ByteBuffer.allocate(2 * samples.size).order(java.nio.ByteOrder.LITTLE_ENDIAN)
    samples.forEach { buffer.putShort(it.toShort()) }
    return buffer.array()
}
