package org.scriptable.app

import org.scriptable.scorer.Contract
import org.scriptable.scorer.Verdict

/** Whether there is a model, and what is wrong with it. */
sealed interface ModelState {
    data object Loading : ModelState

    data class Ready(val contract: Contract) : ModelState

    data object Missing : ModelState

    /** The file cannot be read, or not be copied to where a runtime could. */
    data class Unreadable(val reason: String) : ModelState

    data class Damaged(val reason: String) : ModelState

    data class WithoutContract(val reason: String) : ModelState

    /** [exporter] is the ExecuTorch that made the model, if it tells. */
    data class Unsupported(val exporter: String?, val reason: String) : ModelState

    data class WithoutRuntime(val reason: String) : ModelState
}

/** What is going on besides. */
sealed interface Work {
    data object Idle : Work

    data object Denied : Work

    data object DeniedForGood : Work

    data class MicrophoneFailed(val reason: String) : Work

    /** The system gave the microphone to a call or to another app. */
    data object Silenced : Work

    data object TooSlow : Work

    data class ScoringFailed(val reason: String) : Work

    /** [filled] is the share of what the first decision needs that was heard. */
    data class Listening(val filled: Double, val levelDb: Double) : Work

    data class ScoringFile(val name: String) : Work

    /** The windows or chunks that were scored: of an undecided file no window. */
    data class ScoredFile(val name: String, val steps: Int) : Work

    data class FileFailed(val name: String, val reason: String) : Work

    data class TakingModel(val name: String) : Work

    /** A picked file was refused, and the model before stays: [refused] says why. */
    data class ModelRefused(val name: String, val refused: ModelState) : Work
}

/** All that the screen shows; [picked] is the digest of the model if the user has picked it. */
data class ScreenState(
    val model: ModelState = ModelState.Loading,
    val picked: String? = null,
    val work: Work = Work.Idle,
    val verdict: Verdict? = null,
    val trace: List<Double> = emptyList(),
    val windowMillis: Double? = null,
) {
    val listening: Boolean
        get() = work is Work.Listening

    val busy: Boolean
        get() = work is Work.ScoringFile || work is Work.TakingModel

    val modelFailed: Boolean
        get() = model != ModelState.Loading && model !is ModelState.Ready

    /** Points that the trace keeps: about two minutes, of a demo's model of either kind. */
    val most: Int
        get() = if ((model as? ModelState.Ready)?.contract?.stream == null) WINDOWS else CHUNKS

    /** The same model with nothing scored yet. */
    fun cleared(work: Work) = ScreenState(model, picked, work)

    companion object {
        const val WINDOWS = 60
        const val CHUNKS = 750
        const val LEVEL_FLOOR_DB = -60.0
    }
}
