plugins { alias(libs.plugins.kotlin.jvm) }

kotlin {
    jvmToolchain(17)
    compilerOptions { allWarningsAsErrors = true }
}

// The golden test's engine: ExecuTorch on the machine that tests.
sourceSets.test { kotlin.srcDir("../host/runtime/src/main/kotlin/org/scriptable/host") }

dependencies {
    // Part of Android's framework: the app takes nothing along for it.
    compileOnly(libs.json)
    testImplementation(libs.json)
    testImplementation(libs.junit)
}

tasks.test {
    // ./gradlew :scorer:test -Pvectors=DIR -Pmodel=FILE.pte -Pspoof.native=DIR
    for (name in listOf("vectors", "model", "spoof.native")) {
        providers.gradleProperty(name).orNull?.let { systemProperty(name, it) }
    }
}
