package org.scriptable.app

import android.app.Activity
import android.view.View
import android.widget.Button
import android.widget.TextView
import org.scriptable.scorer.Decision

/** What the buttons of the screen do. */
class ScreenActions(
    val listen: () -> Unit,
    val scoreFile: () -> Unit,
    val share: () -> Unit,
    val pickModel: () -> Unit,
    val resetModel: () -> Unit,
    val showLicences: () -> Unit,
)

/** Shows a state in the views of `res/layout/main.xml`. */
class ScreenView(activity: Activity, private val text: ScreenText, actions: ScreenActions) {
    private val verdict = activity.view<TextView>(R.id.verdict)
    private val numbers = activity.view<TextView>(R.id.numbers)
    private val latency = activity.view<TextView>(R.id.latency)
    private val status = activity.view<TextView>(R.id.status)
    private val identity = activity.view<TextView>(R.id.identity)
    private val trace = activity.view<TraceView>(R.id.trace)
    private val listen = activity.button(R.id.listen, actions.listen)
    private val file = activity.button(R.id.file, actions.scoreFile)
    private val share = activity.button(R.id.share, actions.share)
    private val model = activity.button(R.id.model, actions.pickModel)
    private val reset = activity.button(R.id.reset, actions.resetModel)
    private val bonafide = activity.getColor(R.color.bonafide)
    private val spoof = activity.getColor(R.color.spoof)
    private val plain = activity.getColor(R.color.plain)

    init {
        activity.button(R.id.licences, actions.showLicences)
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
        val ready = state.model is ModelState.Ready && !state.busy
        listen.isEnabled = ready
        file.isEnabled = ready
        share.isEnabled = ready && state.verdict != null
        model.isEnabled = state.model != ModelState.Loading && !state.busy
        reset.isEnabled = model.isEnabled
        reset.visibility = if (state.picked == null) View.GONE else View.VISIBLE
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

private fun Activity.button(id: Int, onClick: () -> Unit): Button =
    view<Button>(id).apply { setOnClickListener { onClick() } }

private fun <T : View> Activity.view(id: Int): T = checkNotNull(findViewById<T>(id))
