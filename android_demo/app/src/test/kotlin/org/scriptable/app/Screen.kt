package org.scriptable.app

import android.Manifest
import android.app.Activity
import android.app.Application
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.view.View
import android.widget.Button
import android.widget.TextView
import java.io.File
import java.io.InputStream
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

/** The activity as a test sees it. */
class Screen {
    private val controller: ActivityController<MainActivity> =
        Robolectric.buildActivity(MainActivity::class.java).setup()
    val activity: MainActivity
        get() = controller.get()

    val verdict
        get() = text(R.id.verdict)

    val verdictColour
        get() = view<TextView>(R.id.verdict).currentTextColor

    val numbers
        get() = text(R.id.numbers)

    val status
        get() = text(R.id.status)

    val identity
        get() = text(R.id.identity)

    val latency
        get() = text(R.id.latency)

    val listen: Button
        get() = view(R.id.listen)

    val file: Button
        get() = view(R.id.file)

    val share: Button
        get() = view(R.id.share)

    val model: Button
        get() = view(R.id.model)

    val reset: Button
        get() = view(R.id.reset)

    val licences: Button
        get() = view(R.id.licences)

    val trace: TraceView
        get() = view(R.id.trace)

    /** Answers the question for the microphone, which [listen] has raised. */
    fun answer(granted: Boolean, again: Boolean = true) {
        val permission = Manifest.permission.RECORD_AUDIO
        if (granted) grantMicrophone()
        shadowOf(activity.packageManager).setShouldShowRequestPermissionRationale(permission, again)
        val result =
            if (granted) PackageManager.PERMISSION_GRANTED else PackageManager.PERMISSION_DENIED
        activity.onRequestPermissionsResult(1, arrayOf(permission), intArrayOf(result))
    }

    /** As if [picked] had been picked in the system's dialogue. */
    fun scoreFile(picked: File) = pick(file, picked.name) { picked.inputStream() }

    fun takeModel(name: String, content: () -> InputStream) = pick(model, name, content)

    private fun pick(button: Button, name: String, content: () -> InputStream) {
        button.performClick()
        answerPicker(name, content)
    }

    /** Answers the picker that is open; it may have been opened by a screen before this one. */
    fun answerPicker(
        name: String,
        content: () -> InputStream,
        request: Intent = shadowOf(activity).nextStartedActivity,
    ) {
        val uri = Uri.parse("content://files/$name")
        shadowOf(activity.contentResolver).registerInputStreamSupplier(uri, content)
        shadowOf(activity).receiveResult(request, Activity.RESULT_OK, Intent().setData(uri))
    }

    fun turn() {
        RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange()
    }

    fun leave() {
        controller.pause()
    }

    fun comeBack() {
        controller.resume()
    }

    fun end() {
        controller.pause().stop().destroy()
    }

    fun picture(name: String) = picture(activity, name)

    private fun text(id: Int) = view<TextView>(id).text.toString()

    private fun <T : View> view(id: Int): T = checkNotNull(activity.findViewById<T>(id))

    companion object {
        fun grantMicrophone() =
            shadowOf(RuntimeEnvironment.getApplication() as Application)
                .grantPermissions(Manifest.permission.RECORD_AUDIO)
    }
}

/** Writes what [activity] shows to `NAME.png` in the folder that the property names. */
fun picture(activity: Activity, name: String) {
    shadowOf(android.os.Looper.getMainLooper()).idle()
    val root = activity.window.decorView
    if (root.width == 0) layOut(activity, root)
    val bitmap = Bitmap.createBitmap(root.width, root.height, Bitmap.Config.ARGB_8888)
    root.draw(Canvas(bitmap))
    val folder = File(System.getProperty("pictures", "build/pictures")).apply { mkdirs() }
    File(folder, "$name.png").outputStream().use {
        check(bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)) { "$name: not written" }
    }
}

/** Robolectric does not attach the window of an activity that it has made anew. */
private fun layOut(activity: Activity, root: View) {
    val size = activity.resources.displayMetrics
    root.measure(
        View.MeasureSpec.makeMeasureSpec(size.widthPixels, View.MeasureSpec.EXACTLY),
        View.MeasureSpec.makeMeasureSpec(size.heightPixels, View.MeasureSpec.EXACTLY),
    )
    root.layout(0, 0, size.widthPixels, size.heightPixels)
}
