package org.scriptable.scorer

import org.json.JSONException
import org.json.JSONObject
import org.json.JSONTokener

private val SHA256 = Regex("[0-9a-f]{64}")

/**
 * The document is read strictly: a field that this code does not know could change what a score
 * means, so it is refused like one that is missing.
 */
internal fun readContract(text: String): Contract {
    if (text.isBlank()) throw ContractException("the model has no score contract")
    val document = Fields(parseObject(text), "")
    document.expect("schema_version", 1)
    document.expect("task", "spoofing")
    val contract =
        Contract(
            model = document.text("model"),
            audio = readAudio(document.part("audio")),
            windows = readWindows(document.part("windows")),
            decision = readDecision(document.part("decision")),
            versions = readVersions(document.part("versions")),
            weightsSha256 = document.text("weights_sha256"),
        )
    if (!SHA256.matches(contract.weightsSha256)) throw document.wrong("weights_sha256", "64 hex digits")
    document.close()
    return contract
}

/** The ExecuTorch that a contract names, even one that is refused; null when it names none. */
internal fun exporterOf(text: String): String? =
    try {
        JSONObject(text).getJSONObject("versions").getString(Contract.EXECUTORCH)
    } catch (_: JSONException) {
        null
    }

private fun parseObject(text: String): JSONObject =
    try {
        JSONTokener(text).nextValue() as? JSONObject
            ?: throw ContractException("score contract: expected a JSON object")
    } catch (error: JSONException) {
        throw ContractException("score contract: not JSON (${error.message})")
    }

private fun readAudio(part: Fields): AudioContract {
    part.expect("mixdown", "mean")
    part.expect("resampler", "sinc_interp_hann")
    val audio =
        AudioContract(
            sampleRate = part.count("sample_rate"),
            pcm16Divisor = part.count("pcm16_divisor"),
            lowpassFilterWidth = part.count("resampler_lowpass_filter_width"),
            rolloff = part.number("resampler_rolloff"),
        )
    if (audio.rolloff <= 0 || audio.rolloff > 1) throw part.wrong("resampler_rolloff", "in (0, 1]")
    return audio.also { part.close() }
}

private fun readWindows(part: Fields): WindowContract {
    part.expect("tail", "align_end")
    part.expect("short", "repeat")
    part.expect("combine", "mean")
    return WindowContract(part.count("num_samples"), part.count("hop")).also { part.close() }
}

private fun readDecision(part: Fields): DecisionContract {
    part.expect("polarity", "higher_is_bonafide")
    val decision =
        DecisionContract(
            scale = part.number("scale"),
            offset = part.number("offset"),
            prior = part.number("prior"),
            threshold = part.number("threshold"),
            operatingPoint = part.text("operating_point"),
        )
    if (decision.prior <= 0 || decision.prior >= 1) throw part.wrong("prior", "in (0, 1)")
    return decision.also { part.close() }
}

private fun readVersions(part: Fields): Map<String, String> =
    part.names().associateWith { part.text(it) }

/** The fields of one object, each to be taken once; [close] refuses what is left. */
private class Fields(private val json: JSONObject, private val place: String) {
    private val left = json.keys().asSequence().toMutableSet()

    fun names(): List<String> = left.toList()

    fun part(name: String): Fields =
        Fields(take(name) as? JSONObject ?: throw wrong(name, "an object"), "$place$name.")

    fun text(name: String): String = take(name) as? String ?: throw wrong(name, "a string")

    fun number(name: String): Double {
        val value = (take(name) as? Number)?.toDouble() ?: throw wrong(name, "a number")
        if (value.isNaN() || value.isInfinite()) throw wrong(name, "finite")
        return value
    }

    fun count(name: String): Int {
        val value = number(name)
        if (value < 1 || value > Int.MAX_VALUE || value != Math.floor(value)) {
            throw wrong(name, "a whole number above 0")
        }
        return value.toInt()
    }

    fun expect(name: String, only: Any) {
        val found = take(name)
        if (found != only) throw ContractException("score contract: $place$name: expected $only, got $found")
    }

    fun close() {
        left.minOrNull()?.let { throw ContractException("score contract: $place$it: unknown field") }
    }

    fun wrong(name: String, expected: String) =
        ContractException("score contract: $place$name: expected $expected, got ${json.opt(name)}")

    private fun take(name: String): Any {
        if (!left.remove(name)) throw ContractException("score contract: $place$name: missing")
        return json.get(name)
    }
}
