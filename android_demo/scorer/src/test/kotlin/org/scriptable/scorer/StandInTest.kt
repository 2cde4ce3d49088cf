package org.scriptable.scorer

import java.io.File
import java.lang.reflect.Executable
import java.lang.reflect.Member
import java.lang.reflect.Method
import java.lang.reflect.Modifier
import java.net.URLClassLoader
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** The classes that stand in for ExecuTorch's on this machine have signatures of the real ones. */
class StandInTest {
    private val names = listOf("EValue", "ExecutorchRuntimeException", "Module", "Tensor")
    private val real = loader("executorch/classes.jar", "fbjni/classes.jar", "nativeloader.jar")

    private fun loader(vararg jars: String): ClassLoader {
        val folder = System.getProperty("aars")
        assumeTrue("-Daars is not given: make test-android gives it", folder != null)
        val files = jars.map { File(folder!!, it) }
        files.forEach { assertTrue("$it: host/fetch.sh", it.exists()) }
        return URLClassLoader(files.map { it.toURI().toURL() }.toTypedArray(), null)
    }

    private fun load(name: String, from: ClassLoader): Class<*> =
        Class.forName("org.pytorch.executorch.$name", false, from)

    /** Kotlin's companions are how a Kotlin class comes by static members, and no member themselves. */
    private fun isOurs(member: Member) =
        Modifier.isPublic(member.modifiers) && !member.isSynthetic && member.name != "Companion"

    private fun signature(member: Executable): String {
        val result = (member as? Method)?.returnType?.name ?: "constructor"
        val static = if (Modifier.isStatic(member.modifiers)) "static " else ""
        val name = if (member is Method) member.name else ""
        return "$static$result $name(${member.parameterTypes.joinToString { it.name }}) varargs=${member.isVarArgs}"
    }

    private fun signatures(type: Class<*>): Set<String> =
        (type.declaredMethods.toList<Executable>() + type.declaredConstructors).filter(::isOurs).map(::signature).toSet()

    @Test
    fun everyMethodIsARealOne() {
        for (name in names) {
            val standIn = signatures(load(name, javaClass.classLoader))
            assertTrue(name, standIn.isNotEmpty())
            assertEquals(name, emptySet<String>(), standIn - signatures(load(name, real)))
        }
    }

    @Test
    fun everyConstantIsTheRealOnes() {
        for (name in listOf("ExecutorchRuntimeException", "Module")) {
            val standIn = load(name, javaClass.classLoader).declaredFields.filter(::isOurs)
            assertTrue(name, standIn.isNotEmpty())
            for (field in standIn) {
                // Reading a field of the real Module would load its library.
                val found = load(name, real).getDeclaredField(field.name)
                assertEquals(field.name, field.type, found.type)
                if (name != "Module") assertEquals(field.name, field.getInt(null), found.getInt(null))
            }
        }
    }

    @Test
    fun theStandInsAreWhatRunsHere() {
        val source = load("Module", javaClass.classLoader).protectionDomain.codeSource.location.path
        assertTrue(source, source.endsWith("runtime/target/classes/"))
    }
}
