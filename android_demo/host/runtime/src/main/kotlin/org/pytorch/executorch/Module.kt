package org.pytorch.executorch

import java.io.IOException
import org.scriptable.host.NativeEngine

/**
 * The calls of the AAR's class that the app makes, on this machine's ExecuTorch: the AAR's own need
 * a native library that runs on Android alone. StandInTest holds these classes to the AAR's.
 */
class Module private constructor(private val engine: NativeEngine) {
    private val contract = engine.contract()
    private var destroyed = false

    fun getMethods(): Array<String> =
        if (contract.isEmpty()) arrayOf(FORWARD) else arrayOf(FORWARD, CONTRACT)

    fun loadMethod(methodName: String) =
        require(methodName in getMethods()) { "$methodName: no such method" }

    fun forward(vararg inputs: EValue): Array<EValue> = execute(FORWARD, *inputs)

    fun execute(methodName: String, vararg inputs: EValue): Array<EValue> {
        check(!destroyed) { "Module has been destroyed" }
        loadMethod(methodName)
        if (methodName == CONTRACT) return arrayOf(EValue.from(contract))
        val rows = inputs.map { it.toTensor().dataAsFloatArray }.toTypedArray()
        return engine
            .forward(rows)
            .map { EValue.from(Tensor.fromBlob(it, longArrayOf(it.size.toLong()))) }
            .toTypedArray()
    }

    fun destroy() {
        destroyed = true
        engine.close()
    }

    companion object {
        const val LOAD_MODE_MMAP = 1
        private const val FORWARD = "forward"
        private const val CONTRACT = "get_contract"

        @JvmStatic
        fun load(modelPath: String, loadMode: Int, numThreads: Int): Module {
            require(loadMode == LOAD_MODE_MMAP) { "loadMode: expected $LOAD_MODE_MMAP, got $loadMode" }
            return try {
                Module(NativeEngine(modelPath, numThreads))
            } catch (error: IOException) {
                throw ExecutorchRuntimeException(ExecutorchRuntimeException.INVALID_PROGRAM, error.message.orEmpty())
            }
        }
    }
}
