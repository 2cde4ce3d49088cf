package org.scriptable.app

import java.io.InputStream
import java.util.Properties

/**
 * The runtime inside the app as the build found it, because ExecuTorch's classes do not tell:
 * [artifact] and its version, and the version of ExecuTorch if the package states it.
 */
data class PackedRuntime(val artifact: String, val executorch: String?) {
    companion object {
        /** Written by the build, into the assets. */
        const val ASSET = "runtime.properties"

        fun read(stream: InputStream): PackedRuntime {
            val noted = Properties().apply { stream.use { load(it) } }
            return PackedRuntime(
                noted.getProperty("artifact").orEmpty(),
                noted.getProperty("executorch").takeUnless { it.isNullOrEmpty() },
            )
        }
    }
}
