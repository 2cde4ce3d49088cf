package org.scriptable.scorer

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** What can be told of a `.pte` without a runtime. */
object ProgramFile {
    private const val HEAD_BYTES = 64
    private const val IDENTIFIER_AT = 4
    private const val EXTENDED_AT = 8
    private const val SEGMENTS_SIZE_SINCE = 32
    private val IDENTIFIER = Regex("ET[0-9]{2}")

    /**
     * The format's identifier, `ET12` for instance, of a whole program.
     *
     * Whether a runtime reads that format is the runtime's to say. Behind the flatbuffer's 8 bytes
     * stand `eh00`, the header's own size, the size of the program, where the segments begin, and
     * since ExecuTorch 1.0 their size.
     *
     * @throws ProgramException when [file] is something else, or shorter than its header says.
     */
    fun check(file: File): String {
        val head = ByteBuffer.allocate(HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN)
        file.inputStream().use { it.readNBytesInto(head.array()) }
        val identifier = String(head.array(), IDENTIFIER_AT, 4, Charsets.ISO_8859_1)
        if (!IDENTIFIER.matches(identifier)) throw ProgramException("no ExecuTorch program")
        val promised = maxOf(promisedSize(head), HEAD_BYTES.toLong())
        if (file.length() < promised) {
            throw ProgramException("truncated: $promised bytes promised and ${file.length()} there")
        }
        return identifier
    }

    /** The SHA-256 of all bytes of [file], as `sha256sum` prints it. */
    fun sha256(file: File): String {
        val digest = MessageDigest.getInstance("SHA-256")
        file.inputStream().use { stream ->
            val block = ByteArray(1 shl 16)
            while (true) {
                val count = stream.read(block)
                if (count < 0) break
                digest.update(block, 0, count)
            }
        }
        return digest.digest().joinToString("") { "%02x".format(it) }
    }

    private fun promisedSize(head: ByteBuffer): Long {
        if (String(head.array(), EXTENDED_AT, 4, Charsets.ISO_8859_1) != "eh00") return 0
        val segmentsSize = if (head.getInt(12) >= SEGMENTS_SIZE_SINCE) head.getLong(32) else 0
        return maxOf(head.getLong(16), head.getLong(24) + segmentsSize)
    }

    private fun java.io.InputStream.readNBytesInto(into: ByteArray) {
        var filled = 0
        while (filled < into.size) {
            val count = read(into, filled, into.size - filled)
            if (count < 0) return
            filled += count
        }
    }
}
