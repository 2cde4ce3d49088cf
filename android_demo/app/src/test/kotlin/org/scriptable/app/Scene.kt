package org.scriptable.app

import java.io.File
import java.io.FileNotFoundException
import java.io.InputStream
import java.util.concurrent.AbstractExecutorService
import java.util.concurrent.Executor
import java.util.concurrent.ExecutorService
import java.util.concurrent.RejectedExecutionException
import java.util.concurrent.TimeUnit
import kotlin.math.PI
import kotlin.math.sin
import kotlin.random.Random
import org.json.JSONObject
import org.junit.Assume.assumeTrue
import org.scriptable.scorer.Engine

/** What surrounds the screen in a test: the model's file, its engine, the microphone, the time. */
object Scene {
    private val npm = PackedRuntime("npm react-native-executorch 0.9.3", null)
    var packed: () -> InputStream = { throw FileNotFoundException(MODEL) }
    var open: (File) -> Engine = { ScriptedEngine() }
    var source: AudioSource = ScriptedSource()
    var runtime = npm
    var notices: () -> InputStream = { throw FileNotFoundException("licences.txt") }
    var worker: ExecutorService = InPlace()
    var main = Executor { it.run() }
    private var nanos = 0L

    /** The microphone of most tests. */
    val microphone: ScriptedSource
        get() = source as ScriptedSource

    fun reset() {
        packed = { ByteArray(1).inputStream() }
        open = { ScriptedEngine() }
        source = ScriptedSource()
        runtime = npm
        worker = InPlace()
        main = Executor { it.run() }
        nanos = 0L
    }

    /** Each look at the clock is 3.2 ms later, so that the pictures are the same each time. */
    fun nanoTime(): Long {
        nanos += 3_200_000
        return nanos
    }
}

class SceneApplication : ScorerApplication() {
    override val runtime
        get() = Scene.runtime

    override fun notices() = Scene.notices()

    override fun session() =
        ScoringSession(
            models = ModelStore({ Scene.packed() }, noBackupFilesDir) { Scene.open(it) },
            source = Scene.source,
            worker = Scene.worker,
            main = Scene.main,
            nanoTime = Scene::nanoTime,
        )
}

/** Golden vectors of a model that is tested, as `python -m export vectors` writes them. */
open class GoldenVectors(private val vectors: String, private val file: String) {
    private val folder: File by lazy { File(given(vectors)) }
    val document: JSONObject by lazy { JSONObject(File(folder, "vectors.json").readText()) }
    val contract: JSONObject
        get() = JSONObject(document.getJSONObject("contract").toString())

    val model: File
        get() = File(given(file))

    /** The case of that name, as Python scored it. */
    fun case(name: String): JSONObject {
        val cases = document.getJSONArray("cases")
        return List(cases.length()) { cases.getJSONObject(it) }.first { it.getString("name") == name }
    }

    fun file(name: String) = File(folder, name)

    private fun given(property: String): String {
        val value = System.getProperty(property)
        assumeTrue("-D$property is not given: make test-android gives it", value != null)
        return value!!
    }
}

/** Of a model of windows. */
object Golden : GoldenVectors("vectors", "model")

/** Of a model of streams. */
object GoldenStreams : GoldenVectors("stream.vectors", "stream.model")

/** Loud enough, and no tone: a contract allows a decision on it. */
fun voice(seconds: Int): ShortArray {
    val noise = Random(0)
    return ShortArray(16000 * seconds) {
        (9000 * sin(2 * PI * 180 * it / 16000) + 600 * noise.nextDouble(-1.0, 1.0)).toInt().toShort()
    }
}

/** Answers with [scores], one after the other, and tells whether it was closed. */
class ScriptedEngine(
    private val text: String = Golden.contract.toString(),
    private val scores: List<Float> = listOf(0.7f, 0.76f, 0.64f, 0.52f, 0.3f, 0.12f, 0.05f, 0.2f),
    override val fileSha256: String? = "0".repeat(64),
) : Engine {
    var scored = 0
        private set

    var closed = false
        private set

    override fun contract() = text

    override fun score(window: FloatArray) = scores[scored++ % scores.size]

    override fun close() {
        closed = true
    }
}

/** Gives the blocks that a test puts in. */
class ScriptedSource(private val refusal: String? = null) : AudioSource {
    private var onBlock: ((ShortArray) -> Unit)? = null
    private var onLoss: ((AudioLoss) -> Unit)? = null

    val running: Boolean
        get() = onBlock != null

    override fun start(sampleRate: Int, onBlock: (ShortArray) -> Unit, onLoss: (AudioLoss) -> Unit) {
        if (refusal != null) throw java.io.IOException(refusal)
        this.onBlock = onBlock
        this.onLoss = onLoss
    }

    override fun stop() {
        onBlock = null
        onLoss = null
    }

    fun hear(samples: ShortArray) =
        samples.toList().chunked(1600).forEach { checkNotNull(onBlock)(it.toShortArray()) }

    fun lose(loss: AudioLoss) = checkNotNull(onLoss)(loss)
}

/** Keeps tasks until [run] is called, as a thread that is busy does. */
class Later : AbstractExecutorService() {
    private val tasks = ArrayDeque<Runnable>()
    private var over = false

    fun run() {
        while (tasks.isNotEmpty()) tasks.removeFirst().run()
    }

    override fun execute(task: Runnable) {
        if (over) throw RejectedExecutionException()
        tasks.addLast(task)
    }

    override fun shutdown() {
        over = true
    }

    override fun shutdownNow(): List<Runnable> = tasks.toList().also { over = true }

    override fun isShutdown() = over

    override fun isTerminated() = over && tasks.isEmpty()

    override fun awaitTermination(timeout: Long, unit: TimeUnit) = isTerminated
}

/** Runs a task where it is handed in. */
class InPlace : AbstractExecutorService() {
    private var over = false

    override fun execute(task: Runnable) = task.run()

    override fun shutdown() {
        over = true
    }

    override fun shutdownNow(): List<Runnable> = emptyList<Runnable>().also { over = true }

    override fun isShutdown() = over

    override fun isTerminated() = over

    override fun awaitTermination(timeout: Long, unit: TimeUnit) = over
}
