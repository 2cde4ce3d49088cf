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
    private val model: ModelFile,
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
    private val waiting = AtomicInteger()

    fun load() = worker.execute {
        val loaded = model.load()
        main.execute {
            scorer = loaded.scorer
            show(state.copy(model = loaded.state))
        }
    }

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
        show(ScreenState(model = state.model, work = listening))
        try {
            source.start(contract.audio.sampleRate, { hear(live, contract.audio.pcm16Divisor, it) }) {
                main.execute { fail(live, Work.MicrophoneFailed(it)) }
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

    fun scoreFile(name: String, open: () -> InputStream) {
        val scorer = scorer ?: return
        stop()
        show(ScreenState(model = state.model, work = Work.ScoringFile(name)))
        worker.execute {
            val result = scoreFile(scorer, name, open)
            main.execute { show(result(state)) }
        }
    }

    fun fileFailed(name: String, reason: String) =
        show(state.copy(work = Work.FileFailed(name, reason)))

    fun close() {
        stop()
        onState = {}
        worker.execute { scorer?.close() }
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
            val millis = (nanoTime() - start) / NANOS_A_MILLI / maxOf(1, scored.windowScores.size)
            val trace = scored.windowScores.map { scorer.contract.llr(it.toDouble()) }
            val work = Work.ScoredFile(name, scored.windowScores.size)
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
        val millis = (nanoTime() - start) / NANOS_A_MILLI / maxOf(1, verdicts.size)
        val level = levelDb(block, block.size, divisor, ScreenState.LEVEL_FLOOR_DB)
        val work = Work.Listening(live.filled, level)
        main.execute { heard(live, work, verdicts, millis) }
    }

    private fun heard(live: LiveScorer, work: Work.Listening, verdicts: List<Verdict>, millis: Double) {
        if (live !== current) return
        show(
            state.copy(
                work = work,
                verdict = verdicts.lastOrNull() ?: state.verdict,
                trace = (state.trace + verdicts.mapNotNull { it.llr }).takeLast(ScreenState.TRACE),
                windowMillis = if (verdicts.isEmpty()) state.windowMillis else millis,
            )
        )
    }

    /** What an earlier run of the microphone still has to say is not heard. */
    private fun fail(live: LiveScorer, work: Work) {
        if (live !== current) return
        end()
        show(state.copy(work = work))
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
