package org.scriptable.scorer

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class ProgramFileTest {
    @get:Rule val folder = TemporaryFolder()

    private fun file(content: ByteArray) = File(folder.root, "model.pte").apply { writeBytes(content) }

    /** A header as ExecuTorch writes it: a program of [program] bytes and segments of [segments]. */
    private fun program(identifier: String = "ET12", program: Long = 64, segments: Long = 36, size: Int = 100): ByteArray {
        val bytes = ByteBuffer.allocate(maxOf(size, 64)).order(ByteOrder.LITTLE_ENDIAN)
        bytes.putInt(0).put(identifier.toByteArray()).put("eh00".toByteArray()).putInt(32)
        bytes.putLong(program).putLong(program).putLong(segments)
        return bytes.array().copyOf(size)
    }

    private fun refusal(content: ByteArray) =
        assertThrows(ProgramException::class.java) { ProgramFile.check(file(content)) }.message

    @Test
    fun wholeProgramsTellTheirFormat() {
        assertEquals("ET12", ProgramFile.check(file(program())))
        assertEquals("ET13", ProgramFile.check(file(program(identifier = "ET13"))))
    }

    @Test
    fun otherFilesAndCutOnesAreRefused() {
        for (other in listOf("", "ET12", "no program\n".repeat(20), "PK")) {
            assertEquals("no ExecuTorch program", refusal(other.toByteArray()))
        }
        for (size in listOf(40, 63, 64, 99)) {
            assertEquals("truncated: 100 bytes promised and $size there", refusal(program(size = size)))
        }
        assertEquals("truncated: 64 bytes promised and 20 there", refusal(program(size = 20)))
    }

    @Test
    fun digestIsThatOfTheBytes() =
        assertEquals(
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ProgramFile.sha256(file("abc".toByteArray())),
        )
}
