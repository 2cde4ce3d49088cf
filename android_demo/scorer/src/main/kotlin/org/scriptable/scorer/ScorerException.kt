package org.scriptable.scorer

/** Something about the model, its contract or the audio is wrong; the message is for people. */
open class ScorerException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** The contract is missing, malformed, or of another task or schema. */
class ContractException(message: String) : ScorerException(message)

/** The model was exported by a newer ExecuTorch than the runtime that should run it. */
class RuntimeTooOldException(val model: String, val runtime: String) :
    ScorerException("the model was exported by ExecuTorch $model, this runtime is $runtime")

/** The audio is not what the scorer can read. */
class AudioException(message: String) : ScorerException(message)
