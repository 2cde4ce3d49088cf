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
    private const val KEY = "\"file_sha256\":"
    private const val DIGITS = 64

    /**
     * The digest of [file], once it was found right; null when it holds none. To be called before any
     * runtime sees the file: a damaged one can crash it.
     *
     * @throws ProgramException when it is not the file that was written.
     */
    fun check(file: File): String? {
        val content = file.readBytes()
        val place = place(content) ?: return null
        val stated = String(content, place, DIGITS, Charsets.ISO_8859_1)
        if (stated.all { it == '0' }) return null
        content.fill('0'.code.toByte(), place, place + DIGITS)
        val actual =
            MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }
        if (actual != stated) {
            throw ProgramException(
                "damaged: its sha256 is ${actual.take(12)}..., and ${stated.take(12)}... when it was written"
            )
        }
        return stated
    }

    /** Where the digits of the last digest begin. */
    private fun place(content: ByteArray): Int? {
        val key = KEY.toByteArray()
        for (start in content.size - key.size - DIGITS - 2 downTo 0) {
            if (key.indices.any { content[start + it] != key[it] }) continue
            var at = start + key.size
            if (content[at] == ' '.code.toByte()) at++
            val end = at + DIGITS + 1
            if (end < content.size && quote(content[at]) && quote(content[end]) && hex(content, at + 1)) return at + 1
        }
        return null
    }

    private fun quote(byte: Byte) = byte == '"'.code.toByte()

    private fun hex(content: ByteArray, from: Int) =
        (from until from + DIGITS).all { content[it].toInt().toChar() in "0123456789abcdef" }
}
