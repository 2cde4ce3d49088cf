plugins { alias(libs.plugins.android.application) }

android {
    namespace = "org.scriptable.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.scriptable.app"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources { noCompress += "pte" }

    testOptions {
        unitTests {
            isIncludeAndroidResources = true
            // ./gradlew :app:test -Pvectors=DIR
            all { test ->
                providers.gradleProperty("vectors").orNull?.let { test.systemProperty("vectors", it) }
            }
        }
    }
}

kotlin { compilerOptions { allWarningsAsErrors = true } }

// Your own model in src/main/assets, else the one that python -m export demo has written.
val packedModel = layout.buildDirectory.dir("model")
val ownModel = file("src/main/assets/spoof_scorer.pte")
val demoModel =
    tasks.register<Sync>("demoModel") {
        if (!ownModel.exists()) {
            from("../../build/demo") {
                include("spoof_scorer.xnnpack.pte")
                rename { "spoof_scorer.pte" }
            }
        }
        into(packedModel)
    }

android.sourceSets.named("main") { assets.srcDir(packedModel.get().asFile) }

tasks.named("preBuild") { dependsOn(demoModel) }

dependencies {
    implementation(project(":scorer"))
    implementation(libs.executorch)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
