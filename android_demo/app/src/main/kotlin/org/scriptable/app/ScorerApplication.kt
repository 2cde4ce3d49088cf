package org.scriptable.app

import android.app.Application
import android.os.Handler
import android.os.Looper
import java.util.concurrent.Executors

/** Where the screen's parts come from; tests put others in their place. */
open class ScorerApplication : Application() {
    open fun session(): ScoringSession {
        val main = Handler(Looper.getMainLooper())
        return ScoringSession(
            model = ModelFile({ assets.open(MODEL) }, noBackupFilesDir, ExecuTorchEngine::open),
            source = Microphone(),
            worker = Executors.newSingleThreadExecutor(),
            main = { main.post(it) },
            nanoTime = System::nanoTime,
        )
    }
}
