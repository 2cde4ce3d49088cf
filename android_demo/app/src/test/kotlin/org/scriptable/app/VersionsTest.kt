package org.scriptable.app

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assume.assumeTrue
import org.junit.Test

/** One version of ExecuTorch: the exporter's, the AAR's, and the one the app says it runs. */
class VersionsTest {
    private fun version(path: String, pattern: String): String {
        val root = System.getProperty("root")
        assumeTrue("-Droot is not given: make test-android gives it", root != null)
        return checkNotNull(Regex(pattern).find(File(root, path).readText())) { path }.groupValues[1]
    }

    @Test
    fun runtimeIsTheCatalogues() =
        assertEquals(
            version("android_demo/gradle/libs.versions.toml", """(?m)^executorch = "([^"]+)""""),
            ExecuTorchEngine.RUNTIME,
        )

    @Test
    fun runtimeIsTheExporters() =
        assertEquals(version("constraints.txt", """(?m)^executorch==(\S+)"""), ExecuTorchEngine.RUNTIME)
}
