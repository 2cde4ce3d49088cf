package org.scriptable.app

import java.io.File
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import org.scriptable.scorer.Engine
import org.scriptable.scorer.FileDigest
import org.scriptable.scorer.ScorerException

/** A `.pte` on the ExecuTorch runtime of the AAR. */
class ExecuTorchEngine
private constructor(private val module: Module, override val fileSha256: String?) : Engine {
    override fun contract(): String =
        if (CONTRACT in module.getMethods()) module.execute(CONTRACT)[0].toStr() else ""

    override fun score(window: FloatArray): Float {
        val input = Tensor.fromBlob(window, longArrayOf(1, window.size.toLong()))
        return try {
            module.forward(EValue.from(input))[0].toTensor().dataAsFloatArray[0]
        } catch (error: RuntimeException) {
            throw ScorerException(firstLine(error), error)
        }
    }

    override fun close() = module.destroy()

    companion object {
        /** Of the AAR, as `gradle/libs.versions.toml` names it: the AAR itself does not tell. */
        const val RUNTIME = "1.5.1"
        private const val CONTRACT = "get_contract"

        /**
         * Loads [file].
         *
         * @throws ScorerException when it is no program that this runtime reads.
         */
        fun open(file: File): ExecuTorchEngine =
            try {
                val digest = FileDigest.check(file)
                val module = Module.load(file.path, Module.LOAD_MODE_MMAP, 1)
                module.loadMethod("forward")
                ExecuTorchEngine(module, digest)
            } catch (error: RuntimeException) {
                throw ScorerException(firstLine(error), error)
            }

        private fun firstLine(error: RuntimeException): String =
            error.message?.lineSequence()?.first() ?: error.javaClass.simpleName
    }
}
