package org.pytorch.executorch

/** A tensor or a string. */
class EValue private constructor(private val value: Any) {
    fun toTensor(): Tensor = value as Tensor

    fun toStr(): String = value as String

    companion object {
        @JvmStatic fun from(value: Tensor) = EValue(value)

        @JvmStatic fun from(value: String) = EValue(value)
    }
}
