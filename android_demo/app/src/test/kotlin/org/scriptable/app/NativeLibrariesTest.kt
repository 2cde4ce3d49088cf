package org.scriptable.app

import java.io.File
import java.util.zip.ZipFile
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

private const val PAGE = 16 * 1024L
private val LIBRARY = Regex("jni/(arm64-v8a|x86_64)/.+[.]so")

/** The libraries that the app packs load on devices with pages of 16 KB, which Play requires. */
class NativeLibrariesTest {
    private fun libraries(aar: String): Map<String, ByteArray> {
        val file = File(System.getProperty("aars", "build/aars"), aar)
        assumeTrue("$aar is not there: android_demo/host/fetch.sh says why", file.exists())
        return ZipFile(file).use { zip ->
            zip.entries().asSequence().filter { LIBRARY.matches(it.name) }.associate {
                it.name to zip.getInputStream(it).readBytes()
            }
        }
    }

    private fun assertAligned(aar: String) {
        val found = libraries(aar)
        assertEquals(setOf("arm64-v8a", "x86_64"), found.keys.map { it.split("/")[1] }.toSet())
        for ((name, content) in found) {
            val alignments = loadAlignments(content)
            assertTrue(name, alignments.isNotEmpty())
            assertTrue("$name: $alignments", alignments.all { it >= PAGE && it % PAGE == 0L })
        }
    }

    @Test fun fbjniIsAligned() = assertAligned("fbjni.aar")

    @Test fun executorchIsAligned() = assertAligned("executorch-android.aar")

    /** This machine's own library has pages of 4 KB: the reader sees the difference. */
    @Test
    fun smallPagesAreSeen() {
        val folder = System.getProperty("spoof.native")
        assumeTrue("-Dspoof.native is not given: make test-android gives it", folder != null)
        val alignments = loadAlignments(File(folder, "libspoof_jni.so").readBytes())
        assertEquals(setOf(4096L), alignments.toSet())
    }
}
