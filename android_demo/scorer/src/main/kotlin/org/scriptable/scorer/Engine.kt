package org.scriptable.scorer

import java.io.Closeable

/** What a model of streams gives for a chunk: the [state] is for the next one. */
class Step(val score: Float, val state: FloatArray)

/** A loaded artefact: its contract, and the raw score of one window or chunk. Used by one thread. */
interface Engine : Closeable {
    /** The contract's JSON, empty when the artefact has none. */
    fun contract(): String

    /** The digest that the file was held against before it was loaded, null when it holds none. */
    val fileSha256: String?
        get() = null

    /** Raw score of [window], which has the contract's number of samples. */
    fun score(window: FloatArray): Float

    /** Raw score of all that was heard up to this [chunk], of a model of streams; [state] is kept as it is. */
    fun step(chunk: FloatArray, state: FloatArray): Step =
        throw ScorerException("the model takes windows, and no state")
}
