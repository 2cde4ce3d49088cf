package org.scriptable.app

import android.content.res.Resources
import org.scriptable.scorer.Contract
import org.scriptable.scorer.Decision
import org.scriptable.scorer.LiveScorer

private const val SHOWN_DIGITS = 12
private const val PERCENT = 100

/** The state in words; every number is the contract's or measured. */
class ScreenText(private val resources: Resources, private val runtime: PackedRuntime) {
    fun verdict(state: ScreenState): String =
        when (state.verdict?.decision) {
            Decision.BONAFIDE -> text(R.string.bonafide)
            Decision.SPOOF -> text(R.string.spoof)
            Decision.UNDECIDED -> text(R.string.undecided)
            null -> text(if (state.modelFailed) R.string.no_model else R.string.no_verdict)
        }

    fun numbers(state: ScreenState): String {
        val ready = state.model as? ModelState.Ready
        val verdict = state.verdict
        if (verdict == null || ready == null) return ""
        val llr = verdict.llr
        val posterior = verdict.posterior
        if (llr == null || posterior == null) return verdict.reason.orEmpty()
        val prior = ready.contract.decision.prior
        return text(R.string.numbers, llr, verdict.threshold, posterior * PERCENT, prior)
    }

    fun latency(state: ScreenState): String {
        val ready = state.model as? ModelState.Ready
        val millis = state.windowMillis
        if (millis == null || ready == null) return ""
        val chunk = ready.contract.stream?.chunkSamples
        if (chunk == null) return text(R.string.latency, millis, neededSeconds(ready.contract))
        return text(R.string.chunk_latency, millis, chunk.toDouble() / ready.contract.audio.sampleRate)
    }

    fun identity(state: ScreenState): String {
        val contract = (state.model as? ModelState.Ready)?.contract ?: return ""
        val words =
            text(
                R.string.identity,
                contract.model,
                contract.decision.operatingPoint,
                exporter(contract.exporter),
                runtime(),
                contract.weightsSha256.take(SHOWN_DIGITS),
            )
        return if (state.picked == null) words else words + text(R.string.picked, state.picked)
    }

    fun status(state: ScreenState): String =
        when (val model = state.model) {
            ModelState.Loading -> if (state.busy) work(state.work, null) else text(R.string.loading)
            is ModelState.Ready -> work(state.work, model.contract)
            else -> if (state.work is Work.Idle) model(model) else work(state.work, null)
        }

    /** The result as another app gets it; empty when there is none. */
    fun shared(state: ScreenState): String {
        val contract = (state.model as? ModelState.Ready)?.contract
        if (contract == null || state.verdict == null) return ""
        val source =
            when (state.work) {
                is Work.ScoredFile -> status(state)
                else -> text(R.string.shared_live)
            }
        val digest = contract.weightsSha256
        return listOf(verdict(state), source, numbers(state), identity(state).replace(digest.take(SHOWN_DIGITS), digest))
            .joinToString("\n")
    }

    private fun model(model: ModelState): String =
        when (model) {
            ModelState.Missing -> text(R.string.model_missing)
            is ModelState.Unreadable -> text(R.string.model_unreadable, model.reason)
            is ModelState.Damaged -> text(R.string.model_damaged, runtime(), model.reason)
            is ModelState.WithoutContract -> text(R.string.model_contract, model.reason)
            is ModelState.Unsupported ->
                text(R.string.model_unsupported, exporter(model.exporter), runtime(), model.reason)
            is ModelState.WithoutRuntime -> text(R.string.runtime_missing, model.reason)
            ModelState.Loading, is ModelState.Ready -> ""
        }

    private fun exporter(version: String?): String =
        if (version == null) text(R.string.exporter_unknown) else text(R.string.executorch, version)

    private fun runtime(): String {
        val version = runtime.executorch
        return if (version == null) {
            text(R.string.runtime_unstated, runtime.artifact)
        } else {
            text(R.string.runtime, version, runtime.artifact)
        }
    }

    fun trace(state: ScreenState): String {
        val verdict = state.verdict
        if (state.trace.isEmpty() || verdict == null) return text(R.string.trace_empty)
        val level = (state.work as? Work.Listening)?.levelDb ?: ScreenState.LEVEL_FLOOR_DB
        return text(R.string.trace, state.trace.size, state.trace.last(), verdict.threshold, level)
    }

    private fun work(work: Work, contract: Contract?): String =
        when (work) {
            Work.Idle -> text(R.string.idle)
            Work.Denied -> text(R.string.denied)
            Work.DeniedForGood -> text(R.string.denied_for_good)
            Work.Silenced -> text(R.string.silenced)
            Work.TooSlow -> text(R.string.too_slow)
            is Work.ScoringFailed -> text(R.string.scoring_failed, work.reason)
            is Work.MicrophoneFailed -> text(R.string.microphone_failed, work.reason)
            is Work.Listening -> contract?.let { listening(work, it) }.orEmpty()
            is Work.ScoringFile -> text(R.string.scoring_file, work.name)
            is Work.ScoredFile -> scoredFile(work, contract)
            is Work.FileFailed -> text(R.string.file_failed, work.name, work.reason)
            is Work.TakingModel -> text(R.string.taking_model, work.name)
            is Work.ModelRefused -> text(R.string.model_refused, work.name, model(work.refused))
        }

    private fun scoredFile(work: Work.ScoredFile, contract: Contract?): String =
        when {
            contract?.stream != null ->
                resources.getQuantityString(R.plurals.streamed_file, work.steps, work.name, work.steps)
            work.steps == 0 -> text(R.string.undecided_file, work.name)
            else -> resources.getQuantityString(R.plurals.scored_file, work.steps, work.name, work.steps)
        }

    /** The same from block to block: TalkBack reads every change of it. */
    private fun listening(work: Work.Listening, contract: Contract): String =
        when {
            work.filled < 1 -> text(R.string.filling, neededSeconds(contract))
            contract.stream != null -> text(R.string.listening_stream)
            else -> text(R.string.listening, LiveScorer.SMOOTHING)
        }

    /** Of a model of windows, a window's. */
    private fun neededSeconds(contract: Contract): Double =
        contract.neededSamples.toDouble() / contract.audio.sampleRate

    private fun text(id: Int, vararg values: Any): String = resources.getString(id, *values)
}
