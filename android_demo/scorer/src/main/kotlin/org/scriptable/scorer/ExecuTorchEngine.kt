package org.scriptable.scorer

import java.io.File
import org.pytorch.executorch.EValue
import org.pytorch.executorch.ExecutorchRuntimeException
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** A `.pte` on the ExecuTorch runtime that the app packs. */
class ExecuTorchEngine
private constructor(
    private val module: Module,
    private val text: String,
    override val fileSha256: String?,
) : Engine {
    override fun contract(): String = text

    override fun score(window: FloatArray): Float = told {
        module.forward(row(window))[0].toTensor().dataAsFloatArray[0]
    }

    override fun step(chunk: FloatArray, state: FloatArray): Step = told {
        val found = module.forward(row(chunk), row(state)).map { it.toTensor().dataAsFloatArray }
        if (found.size != 2 || found[0].size != 1) throw ScorerException("the model gives no score with a state")
        Step(found[0][0], found[1])
    }

    override fun close() = module.destroy()

    companion object {
        private const val CONTRACT = "get_contract"
        private const val FORWARD = "forward"

        /** Codes of a runtime that reads the file and lacks what the file asks for. */
        private val LACKING =
            setOf(
                ExecutorchRuntimeException.NOT_SUPPORTED,
                ExecutorchRuntimeException.NOT_IMPLEMENTED,
                ExecutorchRuntimeException.OPERATOR_MISSING,
                ExecutorchRuntimeException.NOT_FOUND,
                ExecutorchRuntimeException.DELEGATE_INVALID_COMPATIBILITY,
            )

        /**
         * Loads [file] with its contract and its method `forward`, once its bytes are those that were
         * written.
         *
         * A file is no worse for having been made by another release: the runtime reads any file of
         * its format whose operators and delegates it has. So it is asked, method by method. The
         * contract is a constant and needs no operator: it is read first, and names the release that
         * made the file when `forward` cannot be loaded.
         *
         * @throws ProgramException when [file] is no program, not a whole one, or not as it was written.
         * @throws UnsupportedModelException when the runtime lacks what the program asks for.
         * @throws RuntimeMissingException when the app holds no runtime for this device.
         */
        fun open(file: File): ExecuTorchEngine {
            val format = ProgramFile.check(file)
            val digest = FileDigest.check(file)
            val module = load(file, format)
            try {
                val text = told { if (CONTRACT in module.getMethods()) textOf(module) else "" }
                try {
                    module.loadMethod(FORWARD)
                } catch (error: RuntimeException) {
                    throw refusal(error, exporterOf(text), format)
                }
                return ExecuTorchEngine(module, text, digest)
            } catch (error: ScorerException) {
                module.destroy()
                throw error
            }
        }

        private fun load(file: File, format: String): Module =
            try {
                Module.load(file.path, Module.LOAD_MODE_MMAP, 1)
            } catch (error: RuntimeException) {
                throw refusal(error, null, format)
            } catch (error: LinkageError) {
                throw RuntimeMissingException(error)
            }

        private fun row(numbers: FloatArray): EValue =
            EValue.from(Tensor.fromBlob(numbers, longArrayOf(1, numbers.size.toLong())))

        private fun textOf(module: Module): String = module.execute(CONTRACT)[0].toStr()

        /** What a runtime says of a file in [format] that [exporter] has made. */
        internal fun refusal(error: RuntimeException, exporter: String?, format: String): ScorerException {
            val code = (error as? ExecutorchRuntimeException)?.errorCode
            val reason = "${firstLine(error)} (program format $format)"
            return if (code in LACKING) {
                UnsupportedModelException(exporter, reason, error)
            } else {
                ProgramException(reason, error)
            }
        }

        private fun firstLine(error: RuntimeException): String =
            error.message?.lineSequence()?.first() ?: error.javaClass.simpleName

        private inline fun <Result> told(call: () -> Result): Result =
            try {
                call()
            } catch (error: RuntimeException) {
                throw ScorerException(firstLine(error), error)
            }
    }
}
