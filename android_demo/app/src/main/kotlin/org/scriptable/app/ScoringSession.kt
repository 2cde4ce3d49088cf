package org.scriptable.app

import java.io.IOException
import java.io.InputStream
import java.util.concurrent.Executor
import java.util.concurrent.ExecutorService
import java.util.concurrent.atomic.AtomicInteger
import org.scriptable.scorer.LiveScorer
import org.scriptable.scorer.Scorer
import org.scriptable.scorer.ScorerException
import org.scriptable.scorer.Verdict
import org.scriptable.scorer.Wav
import org.scriptable.scorer.levelDb

/**
 * The model and what is scored with it; outlives the activity when the device is turned.
 *
 * All that is public is called on the main thread, where [onState] is called too; the engine is used
 * on [worker] alone. Audio is never written anywhere.
 */
class ScoringSession(
    private val models: ModelStore,
    private val source: AudioSource,
    private val worker: ExecutorService,
    private val main: Executor,
    private val nanoTime: () -> Long,
) {
    var state = ScreenState()
        private set

    var onState: (ScreenState) -> Unit = {}
    private var scorer: Scorer? = null
    private var current: LiveScorer? = null
    private var onceLoaded: () -> Unit = {}
    private var over = false
    private val waiting = AtomicInteger()

    /** All that are not closed yet. Used on the worker alone: no call here is later than [close]'s. */
    private val opened = mutableListOf<Scorer>()

    fun load() = worker.execute { offer(models.load()) }

    /** Takes the file that [open] reads in place of the model, if it can be scored with. */
    fun takeModel(name: String, open: () -> InputStream) {
        stop()
        show(state.cleared(Work.TakingModel(name)))
        worker.execute {
            try {
                offer(models.install(open()))
            } catch (error: ScorerException) {
                refuseModel(name, ModelStore.stateOf(error))
            } catch (error: IOException) {
                refuseModel(name, ModelState.Unreadable(error.message.orEmpty()))
            } catch (error: SecurityException) {
                refuseModel(name, ModelState.Unreadable(error.message.orEmpty()))
            }
        }
    }

    /** Goes back to the model that the app was built with. */
    fun resetModel() {
        stop()
        scorer = null
        show(ScreenState())
        worker.execute {
            models.reset()
            offer(models.load())
        }
    }

    /** On the worker. */
    private fun offer(loaded: LoadedModel) {
        val earlier = opened.toList()
        loaded.scorer?.let(opened::add)
        main.execute { if (!over) use(loaded, earlier) }
    }

    /** What was scored with [earlier] is closed after the tasks that may still use it. */
    private fun use(loaded: LoadedModel, earlier: List<Scorer>) {
        scorer = loaded.scorer
        show(ScreenState(loaded.state, loaded.picked))
        worker.execute {
            earlier.forEach { it.close() }
            opened.removeAll(earlier)
        }
        val waited = onceLoaded
        onceLoaded = {}
        waited()
    }

    private fun refuseModel(name: String, refused: ModelState) =
        main.execute { show(state.copy(work = Work.ModelRefused(name, refused))) }

    fun denied(forGood: Boolean) =
        show(state.copy(work = if (forGood) Work.DeniedForGood else Work.Denied))

    /** After the settings were visited. */
    fun allowed() {
        if (state.work == Work.Denied || state.work == Work.DeniedForGood) show(state.copy(work = Work.Idle))
    }

    fun listen() {
        val scorer = scorer ?: return
        if (state.listening) return
        val contract = scorer.contract
        val live = LiveScorer(scorer)
        current = live
        waiting.set(0)
        val listening = Work.Listening(0.0, ScreenState.LEVEL_FLOOR_DB)
        show(state.cleared(listening))
        try {
            source.start(contract.audio.sampleRate, { hear(live, contract.audio.pcm16Divisor, it) }) {
                main.execute { lose(live, it) }
            }
        } catch (error: IOException) {
            fail(live, Work.MicrophoneFailed(error.message.orEmpty()))
        }
    }

    fun stop() {
        if (!state.listening) return
        end()
        show(state.copy(work = Work.Idle))
    }

    /** Waits for the model where it is still loaded: a file may be picked before. */
    fun scoreFile(name: String, open: () -> InputStream) {
        if (state.model == ModelState.Loading) onceLoaded = { scoreFile(name, open) }
        val scorer = scorer ?: return
        stop()
        show(state.cleared(Work.ScoringFile(name)))
        worker.execute {
            val result = scoreFile(scorer, name, open)
            main.execute { show(result(state)) }
        }
    }

    fun fileFailed(name: String, reason: String) {
        stop()
        show(state.copy(work = Work.FileFailed(name, reason)))
    }

    fun close() {
        stop()
        onState = {}
        over = true
        worker.execute { opened.forEach { it.close() } }
        worker.shutdown()
    }

    private fun scoreFile(
        scorer: Scorer,
        name: String,
        open: () -> InputStream,
    ): (ScreenState) -> ScreenState =
        try {
            val wav = open().use { Wav.read(it.buffered()) }
            val start = nanoTime()
            val scored = scorer.score(wav)
            val streamed = scorer.contract.stream != null
            val steps = if (streamed) scored.chunks.size else scored.windowScores.size
            val millis = windowMillis(start, steps)
            val trace =
                if (streamed) scored.chunks.mapNotNull { it.llr }
                else scored.windowScores.map { scorer.contract.llr(it.toDouble()) }
            val work = Work.ScoredFile(name, steps)
            ({ it.copy(work = work, verdict = scored.verdict, trace = trace, windowMillis = millis) })
        } catch (error: ScorerException) {
            ({ it.copy(work = Work.FileFailed(name, error.message.orEmpty())) })
        } catch (error: IOException) {
            ({ it.copy(work = Work.FileFailed(name, error.message.orEmpty())) })
        } catch (error: SecurityException) {
            ({ it.copy(work = Work.FileFailed(name, error.message.orEmpty())) })
        }

    /** On the source's thread. */
    private fun hear(live: LiveScorer, divisor: Int, block: ShortArray) {
        if (waiting.incrementAndGet() > MOST_WAITING) {
            main.execute { fail(live, Work.TooSlow) }
            return
        }
        worker.execute {
            score(live, divisor, block)
            waiting.decrementAndGet()
        }
    }

    private fun score(live: LiveScorer, divisor: Int, block: ShortArray) {
        val verdicts = mutableListOf<Verdict>()
        val start = nanoTime()
        try {
            live.accept(block, block.size) { verdicts.add(it) }
        } catch (error: ScorerException) {
            return main.execute { fail(live, Work.ScoringFailed(error.message.orEmpty())) }
        }
        val millis = windowMillis(start, verdicts.count { it.score != null })
        val shown = verdicts.lastOrNull().takeIf { live.filled >= 1 }
        val level = levelDb(block, block.size, divisor, ScreenState.LEVEL_FLOOR_DB)
        val work = Work.Listening(live.filled, level)
        main.execute { heard(live, work, shown, verdicts.mapNotNull { it.llr }, millis) }
    }

    /** Null when no window was scored since [start]. */
    private fun windowMillis(start: Long, windows: Int): Double? {
        val millis = (nanoTime() - start) / NANOS_A_MILLI
        return if (windows == 0) null else millis / windows
    }

    private fun heard(
        live: LiveScorer,
        work: Work.Listening,
        verdict: Verdict?,
        llrs: List<Double>,
        millis: Double?,
    ) {
        if (live !== current) return
        show(
            state.copy(
                work = work,
                verdict = verdict ?: state.verdict,
                trace = (state.trace + llrs).takeLast(state.most),
                windowMillis = millis ?: state.windowMillis,
            )
        )
    }

    /** What an earlier run of the microphone still has to say is not heard. */
    private fun fail(live: LiveScorer, work: Work) {
        if (live !== current) return
        end()
        show(state.copy(work = work))
    }

    /** What was heard before a silence may have zeros at its end: it is no verdict. */
    private fun lose(live: LiveScorer, loss: AudioLoss) {
        when (loss) {
            is AudioLoss.Failed -> fail(live, Work.MicrophoneFailed(loss.reason))
            AudioLoss.Silenced -> {
                if (live === current) state = state.cleared(state.work)
                fail(live, Work.Silenced)
            }
        }
    }

    private fun end() {
        current = null
        source.stop()
    }

    private fun show(next: ScreenState) {
        state = next
        onState(next)
    }

    private companion object {
        const val NANOS_A_MILLI = 1e6

        /** Blocks, three seconds of them. */
        const val MOST_WAITING = 30
    }
}
