package org.scriptable.scorer

/**
 * Reads one JSON object as RFC 8259 has it, and no more.
 *
 * Android's own reader takes comments, single quotes, words without quotes and the last of two equal
 * fields, and calls itself without end on a deep document: another contract than other readers read.
 * Whole numbers come as [Long], others as [Double], objects as [Map], lists as [List].
 *
 * @throws ContractException when [text] is anything else, or nested more than 16 deep.
 */
internal fun readObject(text: String): Map<String, Any?> = JsonReader(text).document()

private const val DEEPEST = 16

private class JsonReader(private val text: String) {
    private var at = 0

    fun document(): Map<String, Any?> {
        space()
        if (peek() != '{') throw wrong("expected a JSON object")
        val found = members(1)
        space()
        if (at != text.length) throw wrong("something follows the object")
        return found
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) throw wrong("nested more than $DEEPEST deep")
        return when (peek()) {
            '{' -> members(depth)
            '[' -> list(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        sequence('{', '}') {
            val name = string()
            space()
            take(':')
            space()
            if (name in found) throw wrong("$name stands twice")
            found[name] = value(depth + 1)
        }
        return found
    }

    private fun list(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        sequence('[', ']') { found.add(value(depth + 1)) }
        return found
    }

    private fun sequence(open: Char, close: Char, one: () -> Unit) {
        take(open)
        space()
        if (peek() == close) return take(close)
        while (true) {
            one()
            space()
            if (peek() == close) return take(close)
            take(',')
            space()
        }
    }

    private fun string(): String {
        take('"')
        val found = StringBuilder()
        while (true) {
            val letter = next()
            when {
                letter == '"' -> return whole(found.toString())
                letter < ' ' -> throw wrong("a string contains a control character")
                letter == '\\' -> found.append(escaped())
                else -> found.append(letter)
            }
        }
    }

    private fun escaped(): Char =
        when (val letter = next()) {
            '"', '\\', '/' -> letter
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                val digits = String(CharArray(4) { next() })
                if (!HEX.matches(digits)) throw wrong("\\u$digits is not an escape")
                digits.toInt(16).toChar()
            }
            else -> throw wrong("\\$letter is not an escape")
        }

    /** Half a surrogate pair is no character, and cannot be written as UTF-8. */
    private fun whole(found: String): String {
        if (!Charsets.UTF_8.newEncoder().canEncode(found)) throw wrong("a string contains half a character")
        return found
    }

    private fun number(): Number {
        val found = NUMBER.find(text, at)?.takeIf { it.range.first == at } ?: throw wrong("expected a value")
        at = found.range.last + 1
        val written = found.value
        val whole = if (written.all { it.isDigit() || it == '-' }) written.toLongOrNull() else null
        val value = written.toDouble()
        if (value.isInfinite()) throw wrong("$written is too large")
        return whole ?: value
    }

    private fun word(spelled: String, means: Boolean?): Boolean? {
        if (!text.startsWith(spelled, at)) throw wrong("expected a value")
        at += spelled.length
        return means
    }

    private fun space() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else throw wrong("it ends early")

    private fun next(): Char = peek().also { at++ }

    private fun take(letter: Char) {
        if (next() != letter) throw wrong("expected $letter at ${at - 1}")
    }

    private fun wrong(what: String) = ContractException("score contract: not JSON of a contract: $what")

    private companion object {
        val NUMBER = Regex("""-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?""")
        val HEX = Regex("[0-9a-fA-F]{4}")
    }
}
