package org.scriptable.scorer

import java.io.Closeable

/** A loaded artefact: its contract, and the raw score of one window. Used by one thread. */
interface Engine : Closeable {
    /** The contract's JSON, empty when the artefact has none. */
    fun contract(): String

    /** Raw score of [window], which has the contract's number of samples. */
    fun score(window: FloatArray): Float
}
