package org.scriptable.app

import android.app.Application
import android.os.Handler
import android.os.Looper
import java.io.InputStream
import java.util.concurrent.Executors
import org.scriptable.scorer.ExecuTorchEngine

/** Where the screen's parts come from; tests put others in their place. */
open class ScorerApplication : Application() {
    open val runtime: PackedRuntime by lazy { PackedRuntime.read(assets.open(PackedRuntime.ASSET)) }

    /** Written by the build, into the assets. */
    open fun notices(): InputStream = assets.open("licences.txt")

    open fun session(): ScoringSession {
        val main = Handler(Looper.getMainLooper())
        return ScoringSession(
            models = ModelStore({ assets.open(MODEL) }, noBackupFilesDir, ExecuTorchEngine::open),
            source = Microphone(),
            worker = Executors.newSingleThreadExecutor(),
            main = { main.post(it) },
            nanoTime = System::nanoTime,
        )
    }
}
