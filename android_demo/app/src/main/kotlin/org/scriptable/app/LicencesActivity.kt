package org.scriptable.app

import android.app.Activity
import android.os.Bundle
import android.widget.TextView
import java.io.FileNotFoundException

/** The notices of everything that the app packs. */
class LicencesActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.licences)
        checkNotNull(findViewById<TextView>(R.id.notices)).text = notices()
    }

    private fun notices(): String =
        try {
            (application as ScorerApplication).notices().use { it.reader().readText() }
        } catch (_: FileNotFoundException) {
            getString(R.string.no_notices)
        }
}
