package org.scriptable.scorer

import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assume.assumeTrue
import org.junit.Test

/**
 * The contracts, good and bad, that every implementation takes and refuses alike.
 *
 * Needs -Droot, the folder of the repository.
 */
class ConformanceTest {
    private val root = System.getProperty("root")

    @Test
    fun takesAndRefusesWhatTheOthersDo() = conforms("contracts.json") { it.getString("base") != "sasv" }

    @Test
    fun takesAndRefusesWhatTheOthersDoOfStreams() = conforms("stream_contracts.json") { true }

    private fun conforms(name: String, known: (JSONObject) -> Boolean) {
        assumeTrue("-Droot is not given: make test-android gives it", root != null)
        val table = JSONObject(File(root, "tests/export/runtime/$name").readText())
        val cases = table.getJSONArray("cases").let { all -> List(all.length()) { all.getJSONObject(it) } }
        val wrong = cases.filter { accepted(text(table, it)) != (it.getBoolean("good") && known(it)) }
        assertEquals(emptyList<String>(), wrong.map { it.getString("name") })
    }

    private fun accepted(text: String): Boolean =
        try {
            Contract.parse(text)
            true
        } catch (_: ContractException) {
            false
        }

    /** The base with one edit, or the text as it stands. */
    private fun text(table: JSONObject, case: JSONObject): String {
        if (case.has("text")) return case.getString("text")
        val base = table.getJSONObject("bases").getString(case.getString("base"))
        val edits = case.optJSONArray("replace") ?: JSONArray()
        return List(edits.length()) { edits.getJSONArray(it) }.fold(base) { text, edit ->
            val (old, new) = edit.getString(0) to edit.getString(1)
            check(text.split(old).size == 2) { "${case.getString("name")}: $old" }
            text.replace(old, new)
        }
    }
}
