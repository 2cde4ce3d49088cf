package org.scriptable.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.DashPathEffect
import android.graphics.Paint
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import kotlin.math.max
import kotlin.math.min

/** The LLR of the last windows against the threshold, above a bar with the level of the audio. */
class TraceView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val bonafide = context.getColor(R.color.bonafide)
    private val spoof = context.getColor(R.color.spoof)
    private val ground = context.getColor(R.color.ground)
    private val frame = stroke(context.getColor(R.color.grid), 1f)
    private val dashes =
        stroke(context.getColor(R.color.plain), 1.5f).apply {
            pathEffect = DashPathEffect(floatArrayOf(dp(6f), dp(4f)), 0f)
        }
    private val line = stroke(context.getColor(R.color.quiet), 2f)
    private val dot = Paint(Paint.ANTI_ALIAS_FLAG)
    private val label =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            color = context.getColor(R.color.quiet)
            textSize = size(TypedValue.COMPLEX_UNIT_SP, 12f)
        }
    private var state = ScreenState()

    fun show(next: ScreenState) {
        state = next
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val bar = dp(10f)
        val bottom = height - bar - label.fontSpacing - dp(8f)
        canvas.drawRect(frame.strokeWidth, frame.strokeWidth, width - frame.strokeWidth, bottom, frame)
        val ready = state.model as? ModelState.Ready ?: return
        drawTrace(canvas, ready.contract.decision.threshold, bottom)
        (state.work as? Work.Listening)?.let { drawLevel(canvas, it.levelDb, bar) }
    }

    private fun drawTrace(canvas: Canvas, threshold: Double, bottom: Float) {
        val reach = max(2.0, state.trace.maxOfOrNull { Math.abs(it - threshold) } ?: 0.0) * 1.2
        fun y(llr: Double) = (bottom / 2 * (1 - (llr - threshold) / reach)).toFloat()
        canvas.drawLine(0f, y(threshold), width.toFloat(), y(threshold), dashes)
        val step = (width - dp(24f)) / max(SHOWN - 1, state.trace.size - 1)
        fun x(index: Int) = dp(12f) + index * step
        for (index in 1 until state.trace.size) {
            canvas.drawLine(x(index - 1), y(state.trace[index - 1]), x(index), y(state.trace[index]), line)
        }
        val radius = step.coerceIn(dp(1f), dp(4f))
        state.trace.forEachIndexed { index, llr ->
            dot.color = if (llr >= threshold) bonafide else spoof
            canvas.drawCircle(x(index), y(llr), radius, dot)
        }
        drawThreshold(canvas, threshold, y(threshold))
    }

    /** On a ground of its own, so that a trace behind it does not cross it out. */
    private fun drawThreshold(canvas: Canvas, threshold: Double, line: Float) {
        val words = resources.getString(R.string.threshold_label, threshold)
        val left = width - label.measureText(words) - dp(8f)
        val base = line - dp(7f)
        dot.color = ground
        canvas.drawRect(left - dp(3f), base + label.ascent(), width - dp(5f), base + label.descent(), dot)
        canvas.drawText(words, left, base, label)
    }

    private fun drawLevel(canvas: Canvas, level: Double, bar: Float) {
        val share = 1 - min(1.0, level / ScreenState.LEVEL_FLOOR_DB).toFloat()
        val top = height - bar
        dot.color = frame.color
        canvas.drawRect(0f, top, width.toFloat(), height.toFloat(), dot)
        dot.color = bonafide
        canvas.drawRect(0f, top, width * share, height.toFloat(), dot)
        canvas.drawText(resources.getString(R.string.level_label, level), 0f, top - dp(4f), label)
    }

    private fun stroke(color: Int, width: Float) =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            this.color = color
            strokeWidth = dp(width)
            style = Paint.Style.STROKE
        }

    private fun dp(value: Float) = size(TypedValue.COMPLEX_UNIT_DIP, value)

    private fun size(unit: Int, value: Float) =
        TypedValue.applyDimension(unit, value, resources.displayMetrics)

    private companion object {
        /** Points across the width before they move closer together. */
        const val SHOWN = 20
    }
}
