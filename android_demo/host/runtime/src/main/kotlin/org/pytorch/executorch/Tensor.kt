package org.pytorch.executorch

/** Floats in row-major order. */
class Tensor private constructor(val dataAsFloatArray: FloatArray) {
    companion object {
        @JvmStatic
        fun fromBlob(data: FloatArray, shape: LongArray): Tensor {
            val size = shape.fold(1L, Long::times)
            require(size == data.size.toLong()) { "shape: expected ${data.size} elements, got $size" }
            return Tensor(data)
        }
    }
}
