package org.scriptable.app

import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val MAGIC = 0x464C457F
private const val CLASS_64 = 2
private const val PT_LOAD = 1

/** Alignment of each segment that a 64-bit little-endian ELF file loads. */
fun loadAlignments(content: ByteArray): List<Long> {
    val file = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    require(file.getInt(0) == MAGIC && file.get(4).toInt() == CLASS_64) { "expected a 64-bit ELF file" }
    val offset = file.getLong(32).toInt()
    val size = file.getShort(54).toInt()
    val count = file.getShort(56).toInt()
    return (0 until count)
        .map { offset + it * size }
        .filter { file.getInt(it) == PT_LOAD }
        .map { file.getLong(it + 48) }
}
