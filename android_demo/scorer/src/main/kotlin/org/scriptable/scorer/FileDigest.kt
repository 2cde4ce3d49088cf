package org.scriptable.scorer

import java.io.File
import java.security.MessageDigest

/**
 * The digest of a whole `.pte`, which stands in its contract.
 *
 * It is the SHA-256 of the file with zeros in the place of its own 64 digits, and tells damage by
 * accident: who changes a file on purpose computes it anew.
 */
object FileDigest {
    private const val DIGITS = 64
    private const val BLOCK = 1 shl 16
    private const val ZERO = '0'.code.toByte()
    private val TEXT = Regex("\"file_sha256\": ?\"([0-9a-f]{$DIGITS})\"")

    /** What of a block may belong to a text that ends in the next one. */
    private const val CARRIED = 80

    private class Stated(val digits: String, val place: Long)

    /**
     * The digest of [file], once it was found right; null when it holds none. To be called before any
     * runtime sees the file: a damaged one can crash it.
     *
     * @throws ProgramException when it is not the file that was written.
     */
    fun check(file: File): String? {
        val stated = last(file)
        if (stated == null || stated.digits.all { it == '0' }) return null
        val actual = digest(file, stated.place)
        if (actual != stated.digits) {
            throw ProgramException(
                "damaged: its sha256 is ${actual.take(12)}..., " +
                    "and ${stated.digits.take(12)}... when it was written"
            )
        }
        return stated.digits
    }

    /** A model may be larger than an app's memory: block by block. */
    private fun last(file: File): Stated? {
        var found: Stated? = null
        var carried = ""
        var start = 0L
        file.forEachBlock(BLOCK) { block, count ->
            val text = carried + String(block, 0, count, Charsets.ISO_8859_1)
            TEXT.findAll(text).lastOrNull()?.groups?.get(1)?.let { found = Stated(it.value, start + it.range.first) }
            carried = text.takeLast(CARRIED)
            start += text.length - carried.length
        }
        return found
    }

    private fun digest(file: File, place: Long): String {
        val digest = MessageDigest.getInstance("SHA-256")
        var start = 0L
        file.forEachBlock(BLOCK) { block, count ->
            for (at in maxOf(place, start) until minOf(place + DIGITS, start + count)) block[(at - start).toInt()] = ZERO
            digest.update(block, 0, count)
            start += count
        }
        return digest.digest().joinToString("") { "%02x".format(it) }
    }
}
