package org.scriptable.scorer

import java.io.Closeable

/** A loaded artefact: its contract, and the raw score of one window. Used by one thread. */
interface Engine : Closeable {
    /** The contract's JSON, empty when the artefact has none. */
    fun contract(): String

    /** The digest that the file was held against before it was loaded, null when it holds none. */
    val fileSha256: String?
        get() = null

    /** Raw score of [window], which has the contract's number of samples. */
    fun score(window: FloatArray): Float
}
