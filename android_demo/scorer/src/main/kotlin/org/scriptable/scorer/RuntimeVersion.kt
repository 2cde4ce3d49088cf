package org.scriptable.scorer

private val NUMBERS = Regex("""^(\d+)\.(\d+)(?:\.(\d+))?""")

/**
 * A program is promised to run on its own release and later ones, never on an earlier one.
 *
 * @throws RuntimeTooOldException when the contract names a later ExecuTorch than [runtime].
 */
fun requireRuntime(contract: Contract, runtime: String) {
    val model =
        contract.versions["executorch"]
            ?: throw ContractException("score contract: versions.executorch: missing")
    if (compareVersions(model, runtime) > 0) throw RuntimeTooOldException(model, runtime)
}

/** Order of release numbers; suffixes such as `+cpu` and `rc1` do not count. */
internal fun compareVersions(left: String, right: String): Int =
    numbers(left)
        .zip(numbers(right)) { a, b -> a.compareTo(b) }
        .firstOrNull { it != 0 } ?: 0

private fun numbers(version: String): List<Int> {
    val match =
        NUMBERS.find(version)
            ?: throw ContractException("score contract: versions.executorch: expected a version, got $version")
    return match.groupValues.drop(1).map { it.ifEmpty { "0" }.toInt() }
}
