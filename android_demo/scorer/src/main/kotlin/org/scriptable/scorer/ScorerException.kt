package org.scriptable.scorer

/** Something about the model, its contract or the audio is wrong; the message is for people. */
open class ScorerException(message: String, cause: Throwable? = null) : Exception(message, cause)

/** The contract is missing, malformed, or of another task or schema. */
class ContractException(message: String) : ScorerException(message)

/** The file is no ExecuTorch program, or a damaged one. */
class ProgramException(message: String, cause: Throwable? = null) : ScorerException(message, cause)

/**
 * The runtime lacks an operator or a delegate that the model asks for.
 *
 * [exporter] is the ExecuTorch that made the model, null when the file does not tell.
 */
class UnsupportedModelException(val exporter: String?, reason: String, cause: Throwable? = null) :
    ScorerException(reason, cause)

/** The app holds no ExecuTorch for this device. */
class RuntimeMissingException(cause: LinkageError) : ScorerException(cause.message ?: "no library", cause)

/** The audio is not what the scorer can read. */
class AudioException(message: String) : ScorerException(message)
