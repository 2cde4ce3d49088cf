plugins { alias(libs.plugins.android.application) }

// "NAME CODE", from the last tag.
val version = providers.exec { commandLine("../host/version.sh") }.standardOutput.asText.get().trim().split(" ")

android {
    namespace = "org.scriptable.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.scriptable.app"
        minSdk = 26
        targetSdk = 35
        versionCode = version[1].toInt()
        versionName = version[0]
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources { noCompress += "pte" }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles("proguard-rules.pro")
        }
    }

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

// Which runtime is packed, and the notices of all that is, as host/apk.sh gives them too.
val notes = layout.buildDirectory.dir("notes")
val runtimeNote =
    tasks.register("runtimeNote") {
        val artifact = libs.executorch.get()
        val file = notes.map { it.file("runtime.properties") }
        outputs.file(file)
        doLast {
            file.get().asFile.writeText("artifact=$artifact\nexecutorch=${artifact.version}\n")
        }
    }
val licences =
    tasks.register<Exec>("licences") {
        commandLine("python3", "../host/licences.py", notes.get().file("licences.txt").asFile)
    }

android.sourceSets.named("main") { assets.srcDirs(packedModel.get().asFile, notes.get().asFile) }

tasks.named("preBuild") { dependsOn(demoModel, runtimeNote, licences) }

dependencies {
    implementation(project(":scorer"))
    implementation(libs.executorch)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
