package org.scriptable.app

import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import org.scriptable.scorer.ContractException
import org.scriptable.scorer.Engine
import org.scriptable.scorer.ProgramFile
import org.scriptable.scorer.RuntimeMissingException
import org.scriptable.scorer.Scorer
import org.scriptable.scorer.ScorerException
import org.scriptable.scorer.UnsupportedModelException

/** The model that the app was built with. */
const val MODEL = "spoof_scorer.pte"

/** A scorer, or what the screen says instead; [picked] is the digest of a file of the user's. */
class LoadedModel(val state: ModelState, val scorer: Scorer?, val picked: String? = null)

/**
 * The model that comes as [packed], inside the app's package, and one that the user may have picked
 * in its place. The runtime reads neither from where it comes: both are copied to [folder].
 *
 * A picked file is named by its SHA-256, which is held against its bytes before a runtime sees them.
 */
class ModelStore(
    private val packed: () -> InputStream,
    private val folder: File,
    private val open: (File) -> Engine,
) {
    /** The picked model if there is one, else the packed one. */
    fun load(): LoadedModel {
        val file = pickedFile()
        val digest = file?.let(::digestIn)
        return try {
            val scorer = Scorer.open(open(if (file == null) unpack() else verified(file)))
            LoadedModel(ModelState.Ready(scorer.contract), scorer, digest)
        } catch (_: NoPackedModel) {
            LoadedModel(ModelState.Missing, null)
        } catch (error: IOException) {
            LoadedModel(ModelState.Unreadable(error.message.orEmpty()), null, digest)
        } catch (error: ScorerException) {
            LoadedModel(stateOf(error), null, digest)
        }
    }

    /**
     * Takes [content] in place of the model before, once it has loaded, says what its score means and
     * has scored a window.
     *
     * @throws ScorerException when it does not, and IOException when it cannot be kept; the model
     *   before then stays.
     */
    fun install(content: InputStream): LoadedModel {
        val part = File(folder, "$PICKED.part")
        try {
            content.use { from -> part.outputStream().use { from.copyTo(it) } }
            val file = File(folder, "$PICKED${ProgramFile.sha256(part)}$SUFFIX")
            val scorer = Scorer.open(open(part))
            try {
                scorer.tryOut()
                if (!part.renameTo(file)) throw IOException("$file: cannot be written")
            } catch (error: Exception) {
                scorer.close()
                throw error
            }
            pickedFiles().filter { it != file }.forEach { it.delete() }
            return LoadedModel(ModelState.Ready(scorer.contract), scorer, digestIn(file))
        } finally {
            part.delete()
        }
    }

    /** Forgets the picked model. */
    fun reset() = pickedFiles().forEach { it.delete() }

    private fun pickedFiles(): List<File> = folder.listFiles { file -> digestIn(file) != null }.orEmpty().toList()

    private fun pickedFile(): File? = pickedFiles().maxByOrNull { it.lastModified() }

    private fun digestIn(file: File): String? = NAME.matchEntire(file.name)?.groupValues?.get(1)

    private fun verified(file: File): File {
        if (ProgramFile.sha256(file) != digestIn(file)) throw ScorerException("its bytes have changed since")
        return file
    }

    private fun unpack(): File {
        val file = File(folder, MODEL)
        val part = File(folder, "$MODEL.part")
        val content =
            try {
                packed()
            } catch (error: FileNotFoundException) {
                throw NoPackedModel(error)
            }
        content.use { from -> part.outputStream().use { from.copyTo(it) } }
        if (!part.renameTo(file)) throw IOException("$part: cannot be renamed")
        return file
    }

    private class NoPackedModel(cause: FileNotFoundException) : IOException(cause)

    companion object {
        private const val PICKED = "picked-"
        private const val SUFFIX = ".pte"
        private val NAME = Regex("$PICKED([0-9a-f]{64})[.]pte")

        /** What the screen says of a model that was refused. */
        fun stateOf(error: ScorerException): ModelState {
            val reason = error.message.orEmpty()
            return when (error) {
                is UnsupportedModelException -> ModelState.Unsupported(error.exporter, reason)
                is ContractException -> ModelState.WithoutContract(reason)
                is RuntimeMissingException -> ModelState.WithoutRuntime(reason)
                else -> ModelState.Damaged(reason)
            }
        }
    }
}
