package org.scriptable.app

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.provider.OpenableColumns
import android.provider.Settings
import java.io.FileNotFoundException

/** The one screen: asks for the microphone and for files, and passes both to the session. */
class MainActivity : Activity() {
    private lateinit var session: ScoringSession
    private lateinit var text: ScreenText
    private lateinit var screen: ScreenView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        val parts = application as ScorerApplication
        text = ScreenText(resources, parts.runtime)
        screen = ScreenView(this, text, actions())
        val kept = lastNonConfigurationInstance as ScoringSession?
        session = kept ?: parts.session()
        session.onState = screen::render
        screen.render(session.state)
        if (kept == null) session.load()
    }

    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onResume() {
        super.onResume()
        if (mayRecord()) session.allowed()
    }

    override fun onPause() {
        if (!isChangingConfigurations) session.stop()
        super.onPause()
    }

    override fun onDestroy() {
        if (!isChangingConfigurations) session.close()
        super.onDestroy()
    }

    private fun actions() =
        ScreenActions(
            listen = ::toggleListening,
            scoreFile = { pick("audio/*", FILE) },
            share = ::share,
            pickModel = { pick("*/*", MODEL_FILE) },
            resetModel = { session.resetModel() },
            showLicences = { startActivity(Intent(this, LicencesActivity::class.java)) },
        )

    private fun toggleListening() {
        when {
            session.state.listening -> session.stop()
            mayRecord() -> session.listen()
            session.state.work == Work.DeniedForGood -> openSettings()
            else -> requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), MICROPHONE)
        }
    }

    private fun mayRecord(): Boolean =
        checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED

    override fun onRequestPermissionsResult(request: Int, names: Array<String>, results: IntArray) {
        if (request != MICROPHONE) return
        if (mayRecord()) {
            session.listen()
        } else {
            // No result at all means that the question was dismissed: it may be asked again.
            val asked = results.isNotEmpty()
            session.denied(forGood = asked && !shouldShowRequestPermissionRationale(names[0]))
        }
    }

    private fun openSettings() {
        val details = Uri.fromParts("package", packageName, null)
        startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, details))
    }

    private fun share() {
        val send = Intent(Intent.ACTION_SEND).setType("text/plain")
        send.putExtra(Intent.EXTRA_TEXT, text.shared(session.state))
        startActivity(Intent.createChooser(send, null))
    }

    /** A picker that shows [type]. Android knows no type for `.pte`. */
    private fun pick(type: String, request: Int) {
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
        pick.type = type
        try {
            startActivityForResult(pick, request)
        } catch (error: ActivityNotFoundException) {
            session.fileFailed(getString(R.string.unnamed_file), error.message.orEmpty())
        }
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data
        if (result != RESULT_OK || uri == null) return
        val open = { contentResolver.openInputStream(uri) ?: throw FileNotFoundException(uri.toString()) }
        when (request) {
            FILE -> session.scoreFile(nameOf(uri), open)
            MODEL_FILE -> session.takeModel(nameOf(uri), open)
        }
    }

    private fun nameOf(uri: Uri): String =
        contentResolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
            if (it.moveToFirst()) it.getString(0) else null
        } ?: uri.lastPathSegment ?: getString(R.string.unnamed_file)

    private companion object {
        const val MICROPHONE = 1
        const val FILE = 2
        const val MODEL_FILE = 3
    }
}
