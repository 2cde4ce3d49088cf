package org.scriptable.app

import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream
import org.scriptable.scorer.ContractException
import org.scriptable.scorer.Engine
import org.scriptable.scorer.RuntimeTooOldException
import org.scriptable.scorer.Scorer
import org.scriptable.scorer.ScorerException

/** The model that the app was built with. */
const val MODEL = "spoof_scorer.pte"

/** A scorer, or what the screen says instead. */
class LoadedModel(val state: ModelState, val scorer: Scorer?)

/**
 * The model that comes as [packed], inside the app's package, where the runtime cannot read it: it
 * is copied to [folder] and opened there.
 */
class ModelFile(
    private val packed: () -> InputStream,
    private val folder: File,
    private val open: (File) -> Engine,
) {
    fun load(): LoadedModel =
        try {
            val scorer = Scorer.open(open(unpack()), ExecuTorchEngine.RUNTIME)
            LoadedModel(ModelState.Ready(scorer.contract), scorer)
        } catch (_: FileNotFoundException) {
            LoadedModel(ModelState.Missing, null)
        } catch (error: RuntimeTooOldException) {
            LoadedModel(ModelState.TooNew(error.model), null)
        } catch (error: ContractException) {
            LoadedModel(ModelState.WithoutContract(error.message.orEmpty()), null)
        } catch (error: ScorerException) {
            LoadedModel(ModelState.Damaged(error.message.orEmpty()), null)
        } catch (error: LinkageError) {
            LoadedModel(ModelState.WithoutRuntime(error.message.orEmpty()), null)
        }

    private fun unpack(): File {
        val file = File(folder, MODEL)
        val part = File(folder, "$MODEL.part")
        packed().use { from -> part.outputStream().use { from.copyTo(it) } }
        if (!part.renameTo(file)) throw ScorerException("$part: cannot be renamed")
        return file
    }
}
