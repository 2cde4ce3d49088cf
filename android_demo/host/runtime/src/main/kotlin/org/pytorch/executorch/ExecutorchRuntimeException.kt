package org.pytorch.executorch

/** What the runtime refuses, by its codes. */
class ExecutorchRuntimeException(val errorCode: Int, details: String) : RuntimeException(details) {
    companion object {
        const val NOT_SUPPORTED = 0x10
        const val NOT_IMPLEMENTED = 0x11
        const val OPERATOR_MISSING = 0x14
        const val NOT_FOUND = 0x20
        const val INVALID_PROGRAM = 0x23
        const val DELEGATE_INVALID_COMPATIBILITY = 0x30
    }
}
