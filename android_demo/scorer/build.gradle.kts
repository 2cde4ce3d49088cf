plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "org.scriptable.scorer"
    compileSdk = 35

    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    testOptions {
        // ./gradlew :scorer:test -Pvectors=DIR -Pmodel=FILE.pte -Pspoof.native=DIR
        unitTests.all { test ->
            for (name in listOf("vectors", "model", "spoof.native")) {
                providers.gradleProperty(name).orNull?.let { test.systemProperty(name, it) }
            }
        }
    }

    publishing { singleVariant("release") { withSourcesJar() } }
}

kotlin { compilerOptions { allWarningsAsErrors = true } }

// ExecuTorch on the machine that tests: the AAR's own classes need Android.
android.sourceSets.named("test") { kotlin.srcDir("../host/runtime/src/main/kotlin") }

dependencies {
    compileOnly(libs.executorch)
    testImplementation(libs.json)
    testImplementation(libs.junit)
}
