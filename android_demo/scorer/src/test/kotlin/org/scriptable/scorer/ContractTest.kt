package org.scriptable.scorer

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class ContractTest {
    private val contract = Contract.parse(document())
    private val newer = Contract.parse(guarded())

    private fun refusal(text: String): String =
        assertThrows(ContractException::class.java) { Contract.parse(text) }.message!!

    @Test
    fun readsEveryField() {
        assertEquals(AudioContract(16000, 32768, 6, 0.99), contract.audio)
        assertEquals(WindowContract(4, 2), contract.windows)
        assertEquals(DecisionContract(2.0, -1.0, 0.5, 0.25, "test"), contract.decision)
        assertEquals("1.5.1", contract.versions["executorch"])
        assertEquals(listOf(1, null, null), listOf(contract.schemaVersion, contract.guards, contract.fileSha256))
        assertEquals(2, newer.schemaVersion)
        assertEquals(Guards(0.0, -60.0, 4.0, 45.0, 0.1, 12.0), newer.guards)
        assertEquals("0".repeat(64), newer.fileSha256)
    }

    @Test
    fun decidesOnTheLlrAtOrAboveTheThreshold() {
        assertEquals(0.25, contract.llr(0.625), 0.0)
        assertEquals(Decision.BONAFIDE, contract.decide(0.25))
        assertEquals(Decision.SPOOF, contract.decide(Math.nextDown(0.25)))
    }

    @Test
    fun posteriorIsSafeAtTheEdges() {
        assertEquals(0.5, contract.posterior(0.0), 1e-15)
        assertEquals(0.7310585786300049, contract.posterior(1.0), 1e-15)
        assertEquals(1.0, contract.posterior(1e4), 0.0)
        assertEquals(0.0, contract.posterior(-1e4), 0.0)
        val rare = contract.copy(decision = contract.decision.copy(prior = 0.01))
        assertEquals(0.01, rare.posterior(0.0), 1e-15)
    }

    @Test
    fun saysWhichFieldIsWrong() {
        assertEquals("the model has no score contract", refusal(" "))
        assertEquals("score contract: not JSON of a contract: expected a JSON object", refusal("[1]"))
        assertEquals(
            "score contract: audio.sample_rate: missing",
            refusal(document().replace("\"sample_rate\": 16000,", "")),
        )
        assertEquals(
            "score contract: windows.hop: expected a whole number from 1 to 16777216, got 0",
            refusal(document(hop = 0)),
        )
        assertEquals(
            "score contract: decision.scale: expected a number, got 2.0",
            refusal(document().replace("\"scale\": 2.0", "\"scale\": \"2.0\"")),
        )
        assertEquals(
            "score contract: decision.prior: expected in (0, 1), got 1",
            refusal(document().replace("\"prior\": 0.5", "\"prior\": 1")),
        )
        assertEquals(
            "score contract: audio.gain: unknown field",
            refusal(document().replace("\"mixdown\"", "\"gain\": 2, \"mixdown\"")),
        )
        assertEquals(
            "score contract: task: expected spoofing, got sasv",
            refusal(document().replace("\"spoofing\"", "\"sasv\"")),
        )
        assertEquals(
            "score contract: schema_version: expected a whole number from 1 to 2, got 3",
            refusal(document().replace("\"schema_version\": 1", "\"schema_version\": 3")),
        )
        assertEquals(
            "score contract: windows.tail: expected align_end, got drop",
            refusal(document().replace("align_end", "drop")),
        )
    }

    @Test
    fun refusesATextThatIsNotJson() {
        assertThrows(ContractException::class.java) { Contract.parse("{\"a\": ") }
    }

    @Test
    fun tellsTheExporterEvenOfAContractThatIsRefused() {
        assertEquals("1.5.1", contract.exporter)
        assertEquals("9.1.0", exporterOf(document(executorch = "9.1.0").replace("spoofing", "sasv")))
        for (without in listOf("", "{", "[]", "{\"versions\": {}}")) assertEquals(null, exporterOf(without))
    }
}
