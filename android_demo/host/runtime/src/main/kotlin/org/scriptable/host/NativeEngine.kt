package org.scriptable.host

import java.io.Closeable
import java.io.File
import java.io.IOException

/** A `.pte` on ExecuTorch's C++ runtime, as `android_demo/native` builds it for this machine. */
class NativeEngine(path: String, threads: Int = 1) : Closeable {
    private var handle = nativeLoad(path, threads)

    fun contract(): String = nativeContract(handle)

    /** The results of the method `forward`, each input one row. */
    fun forward(inputs: Array<FloatArray>): Array<FloatArray> = nativeForward(handle, inputs)

    override fun close() {
        if (handle != 0L) nativeClose(handle)
        handle = 0L
    }

    @Throws(IOException::class) private external fun nativeLoad(path: String, threads: Int): Long

    private external fun nativeContract(handle: Long): String

    private external fun nativeForward(handle: Long, inputs: Array<FloatArray>): Array<FloatArray>

    private external fun nativeClose(handle: Long)

    companion object {
        /** Names the folder of `libspoof_jni.so`. */
        const val FOLDER = "spoof.native"

        init {
            val folder =
                System.getProperty(FOLDER)
                    ?: throw UnsatisfiedLinkError("-D$FOLDER: expected the folder of libspoof_jni.so")
            System.load(File(folder, "libspoof_jni.so").absolutePath)
        }
    }
}
