package org.scriptable.app

import android.app.Activity
import android.view.View
import android.widget.Button
import android.widget.TextView
import org.scriptable.scorer.Decision

/** Shows a state in the views of `res/layout/main.xml`. */
class ScreenView(activity: Activity, onListen: () -> Unit, onFile: () -> Unit) {
    private val text = ScreenText(activity.resources)
    private val verdict = activity.view<TextView>(R.id.verdict)
    private val numbers = activity.view<TextView>(R.id.numbers)
    private val latency = activity.view<TextView>(R.id.latency)
    private val status = activity.view<TextView>(R.id.status)
    private val identity = activity.view<TextView>(R.id.identity)
    private val trace = activity.view<TraceView>(R.id.trace)
    private val listen = activity.view<Button>(R.id.listen)
    private val file = activity.view<Button>(R.id.file)
    private val bonafide = activity.getColor(R.color.bonafide)
    private val spoof = activity.getColor(R.color.spoof)
    private val plain = activity.getColor(R.color.plain)

    init {
        listen.setOnClickListener { onListen() }
        file.setOnClickListener { onFile() }
    }

    fun render(state: ScreenState) {
        verdict.showText(text.verdict(state))
        verdict.setTextColor(
            when (state.verdict?.decision) {
                Decision.BONAFIDE -> bonafide
                Decision.SPOOF -> spoof
                Decision.UNDECIDED,
                null -> plain
            }
        )
        numbers.showText(text.numbers(state))
        latency.showText(text.latency(state))
        identity.showText(text.identity(state))
        status.showText(text.status(state))
        trace.visibility = if (state.modelFailed) View.GONE else View.VISIBLE
        trace.show(state)
        trace.contentDescription = text.trace(state)
        renderButtons(state)
    }

    private fun renderButtons(state: ScreenState) {
        val ready = state.model is ModelState.Ready
        val scoring = state.work is Work.ScoringFile
        listen.isEnabled = ready && !scoring
        file.isEnabled = ready && !scoring
        listen.setText(
            when (state.work) {
                is Work.Listening -> R.string.stop
                Work.Denied -> R.string.ask_again
                Work.DeniedForGood -> R.string.open_settings
                else -> R.string.listen
            }
        )
    }

    /** A live region speaks when its text is set, so it is set only when it changes. */
    private fun TextView.showText(next: String) {
        if (text.toString() != next) text = next
    }
}

private fun <T : View> Activity.view(id: Int): T = checkNotNull(findViewById<T>(id))
