package org.scriptable.scorer

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class FileDigestTest {
    @get:Rule val folder = TemporaryFolder()

    private val file
        get() = File(folder.root, "model.pte")

    private fun field(digits: String, space: String = " ") = "\"file_sha256\":$space\"$digits\""

    private val empty = "0".repeat(64)

    /** [before], an earlier field that does not count, and the digest of it all, sealed. */
    private fun seal(before: Int, space: String = " "): String {
        val text = "x".repeat(before) + field("a".repeat(64)) + field(empty, space) + "y".repeat(70_000)
        file.writeText(text)
        val digest = ProgramFile.sha256(file)
        file.writeText(text.replace(empty, digest))
        return digest
    }

    @Test
    fun lastDigestIsFoundWhereverItStands() {
        for (before in listOf(0, 10, 65_536 - 200, 65_536 - 160, 65_536 - 100, 65_536 - 82, 131_072 - 90)) {
            assertEquals("$before", seal(before), FileDigest.check(file))
        }
        for (before in 65_536 - 170..65_536 step 7) assertEquals("$before", seal(before, ""), FileDigest.check(file))
    }

    @Test
    fun aByteThatChangedIsTold() {
        val digest = seal(1000)
        val whole = file.readBytes()
        for (place in listOf(0, 999, 70_000, whole.size - 1)) {
            file.writeBytes(whole.copyOf().also { it[place] = (it[place].toInt() xor 1).toByte() })
            val message = assertThrows(ProgramException::class.java) { FileDigest.check(file) }.message!!
            assertTrue(message, message.startsWith("damaged: its sha256 is "))
            assertTrue(message, "and ${digest.take(12)}... when it was written" in message)
        }
    }

    @Test
    fun filesWithoutADigestHaveNone() {
        for (content in listOf("", "no digest", field(empty), field("A".repeat(64)), field("a".repeat(63)), field("a".repeat(65)))) {
            file.writeText(content)
            assertEquals(content, null, FileDigest.check(file))
        }
    }
}
