package org.scriptable.scorer

private val SHA256 = Regex("[0-9a-f]{64}")
private val PRECISIONS = listOf("float32", "mixed16", "int8")
private val VERDICTS = listOf("passed", "forced")
private const val NEWEST = 2
private val TASKS = listOf("spoofing", "streaming")

/** As the exporter has them: a document that asks for more is damaged, and nothing is allocated. */
private const val MOST_HZ = 768_000
private const val MOST_SAMPLES = 1 shl 24
private const val MOST_HEARD = 1L shl 44
private const val MOST_ROWS = 64

/**
 * The document is read strictly: a field that this code does not know could change what a score
 * means, so it is refused like one that is missing.
 */
internal fun readContract(text: String): Contract {
    if (text.isBlank()) throw ContractException("the model has no score contract")
    val document = Fields(readObject(text), "")
    val version = document.count("schema_version", NEWEST)
    val streaming = document.expectOneOf("task", if (version > 1) TASKS else TASKS.take(1)) == TASKS[1]
    val decision = document.part("decision")
    val stream = if (streaming) readStream(document.part("stream"), decision) else null
    val contract =
        Contract(
            schemaVersion = version,
            model = document.text("model"),
            audio = readAudio(document.part("audio")),
            windows = if (streaming) null else readWindows(document.part("windows")),
            stream = stream,
            decision = readDecision(decision, stream?.calibration?.last() ?: readCalibration(decision)),
            versions = readVersions(document.part("versions")),
            weightsSha256 = document.digest("weights_sha256"),
            guards = if (version > 1) readGuards(document.part("guards")) else null,
            fileSha256 = if (version > 1) document.digest("file_sha256") else null,
        )
    if (version > 1) {
        val precision = document.text("precision")
        if (precision !in PRECISIONS) throw document.wrong("precision", "one of $PRECISIONS")
        if (precision != "float32" && document.has("precision_guard")) {
            readPrecisionGuard(document.part("precision_guard"))
        }
        document.texts("notes")
    }
    document.close()
    return contract
}

/** The ExecuTorch that a contract names, even one that is refused; null when it names none. */
internal fun exporterOf(text: String): String? =
    try {
        (readObject(text)["versions"] as? Map<*, *>)?.get(Contract.EXECUTORCH) as? String
    } catch (_: ContractException) {
        null
    }

private fun readAudio(part: Fields): AudioContract {
    part.expect("mixdown", "mean")
    part.expect("resampler", "sinc_interp_hann")
    part.expect("pcm16_divisor", 32768L)
    part.expect("resampler_lowpass_filter_width", 6L)
    part.expect("resampler_rolloff", 0.99)
    return AudioContract(part.count("sample_rate", MOST_HZ), 32768, 6, 0.99).also { part.close() }
}

private fun readWindows(part: Fields): WindowContract {
    part.expect("tail", "align_end")
    part.expect("short", "repeat")
    part.expect("combine", "mean")
    return WindowContract(part.count("num_samples", MOST_SAMPLES), part.count("hop", MOST_SAMPLES)).also {
        part.close()
    }
}

private fun readStream(part: Fields, decision: Fields): StreamContract {
    part.expect("initial_state", "zeros")
    part.expect("tail", "drop")
    part.expect("refused", "keep_state")
    val warmup = part.count("warmup_samples", MOST_SAMPLES, 0)
    return StreamContract(
            chunkSamples = part.count("chunk_samples", MOST_SAMPLES),
            stateSize = part.count("state_size", MOST_SAMPLES),
            warmupSamples = warmup,
            longestGap = part.count("longest_gap", MOST_SAMPLES, 0),
            calibration = readTable(decision, warmup.toLong()),
        )
        .also { part.close() }
}

/** By rising samples, and none before [warmup] is over. */
private fun readTable(decision: Fields, warmup: Long): List<ElapsedCalibration> {
    var earliest = warmup
    return decision.parts("calibration", MOST_ROWS).map { row ->
        val samples = row.count("samples", MOST_HEARD, earliest)
        earliest = samples + 1
        readCalibration(row, samples).also { row.close() }
    }
}

private fun readCalibration(part: Fields, samples: Long = 0) =
    ElapsedCalibration(samples, part.number("scale", "above 0") { it > 0 }, part.number("offset"))

private fun readDecision(part: Fields, calibration: ElapsedCalibration): DecisionContract {
    part.expect("polarity", "higher_is_bonafide")
    return DecisionContract(
            scale = calibration.scale,
            offset = calibration.offset,
            prior = part.number("prior", "in (0, 1)") { it > 0 && it < 1 },
            threshold = part.number("threshold"),
            operatingPoint = part.text("operating_point"),
        )
        .also { part.close() }
}

private fun readGuards(part: Fields): Guards {
    part.expect("clip_level", CLIP_LEVEL)
    return Guards(
            minSeconds = part.number("min_seconds", "in [0, 3600]") { it in 0.0..3600.0 },
            minLevelDbfs = part.number("min_level_dbfs", "in [-200, 0]") { it in -200.0..0.0 },
            maxAmplitude = part.number("max_amplitude", "above 0") { it > 0 },
            maxTonalityDb = part.number("max_tonality_db", "above 0") { it > 0 },
            maxClipped = part.number("max_clipped", "in (0, 1]") { it > 0 && it <= 1 },
            maxCancellationDb = part.number("max_cancellation_db", "above 0") { it > 0 },
        )
        .also { part.close() }
}

/** What a file of fewer bits was held to when it was written: for people, and for tests. */
private fun readPrecisionGuard(part: Fields) {
    if (part.text("verdict") !in VERDICTS) throw part.wrong("verdict", "one of $VERDICTS")
    part.count("trials", MOST_SAMPLES)
    for (name in listOf("flips", "most_flips", "calibration_windows")) part.count(name, MOST_SAMPLES, 0)
    part.number("max_score_error", "at least 0") { it >= 0 }
    part.number("score_tolerance", "above 0") { it > 0 }
    part.numbers("delta_eer", setOf(0, 3))
    part.close()
}

private fun readVersions(part: Fields): Map<String, String> =
    part.names().associateWith { part.text(it) }

/** The fields of one object, each to be taken once; [close] refuses what is left. */
private class Fields(private val fields: Map<String, Any?>, private val place: String) {
    private val left = fields.keys.toMutableSet()

    fun names(): List<String> = left.toList()

    fun has(name: String): Boolean = name in fields

    fun part(name: String): Fields {
        val found = take(name) as? Map<*, *> ?: throw wrong(name, "an object")
        return Fields(found.entries.associate { it.key as String to it.value }, "$place$name.")
    }

    fun text(name: String): String = take(name) as? String ?: throw wrong(name, "a string")

    fun texts(name: String) {
        val found = take(name) as? List<*> ?: throw wrong(name, "a list")
        if (found.any { it !is String }) throw wrong(name, "strings")
    }

    fun numbers(name: String, counts: Set<Int>) {
        val found = take(name) as? List<*> ?: throw wrong(name, "a list")
        if (found.size !in counts || found.any { it !is Number }) throw wrong(name, "$counts numbers")
    }

    fun digest(name: String): String =
        text(name).also { if (!SHA256.matches(it)) throw wrong(name, "64 hex digits") }

    fun number(name: String, expected: String = "", inside: (Double) -> Boolean = { true }): Double {
        val value = (take(name) as? Number)?.toDouble() ?: throw wrong(name, "a number")
        if (!inside(value)) throw wrong(name, expected)
        return value
    }

    fun count(name: String, most: Int, least: Int = 1): Int =
        count(name, most.toLong(), least.toLong()).toInt()

    fun count(name: String, most: Long, least: Long): Long {
        val value = take(name) as? Long
        if (value == null || value !in least..most) throw wrong(name, "a whole number from $least to $most")
        return value
    }

    /** A list of objects, one at least. */
    fun parts(name: String, most: Int): List<Fields> {
        val found = take(name) as? List<*>
        if (found == null || found.size !in 1..most) throw wrong(name, "a list of 1 to $most objects")
        return found.mapIndexed { index, value -> "$name[$index]".let { Fields(mapOf(it to value), place).part(it) } }
    }

    fun expectOneOf(name: String, known: List<String>): String =
        (take(name) as? String)?.takeIf { it in known } ?: throw wrong(name, known.joinToString(" or "))

    fun expect(name: String, only: Any) {
        val found = take(name)
        if (found != only) throw ContractException("score contract: $place$name: expected $only, got $found")
    }

    fun close() {
        left.minOrNull()?.let { throw ContractException("score contract: $place$it: unknown field") }
    }

    fun wrong(name: String, expected: String) =
        ContractException("score contract: $place$name: expected $expected, got ${fields[name]}")

    private fun take(name: String): Any? {
        if (!left.remove(name)) throw ContractException("score contract: $place$name: missing")
        return fields[name]
    }
}
