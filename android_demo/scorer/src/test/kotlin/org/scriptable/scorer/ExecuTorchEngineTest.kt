package org.scriptable.scorer

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.pytorch.executorch.ExecutorchRuntimeException

class ExecuTorchEngineTest {
    private fun refusal(code: Int) =
        ExecuTorchEngine.refusal(ExecutorchRuntimeException(code, "no such thing\nin detail"), "9.1.0", "ET12")

    @Test
    fun whatTheRuntimeLacksIsUnsupported() {
        val lacking =
            listOf(
                ExecutorchRuntimeException.NOT_SUPPORTED,
                ExecutorchRuntimeException.NOT_IMPLEMENTED,
                ExecutorchRuntimeException.OPERATOR_MISSING,
                ExecutorchRuntimeException.NOT_FOUND,
                ExecutorchRuntimeException.DELEGATE_INVALID_COMPATIBILITY,
            )
        for (code in lacking) {
            val error = refusal(code) as UnsupportedModelException
            assertEquals("9.1.0", error.exporter)
            assertEquals("no such thing (program format ET12)", error.message)
        }
    }

    @Test
    fun whatTheRuntimeCannotReadIsDamaged() {
        assertTrue(refusal(ExecutorchRuntimeException.INVALID_PROGRAM) is ProgramException)
        val plain = ExecuTorchEngine.refusal(IllegalStateException(), null, "ET12")
        assertTrue(plain is ProgramException)
        assertEquals("IllegalStateException (program format ET12)", plain.message)
    }
}
