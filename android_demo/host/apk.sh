#!/bin/sh
# apk.sh AARS MODEL OUT: a signed APK without an Android SDK, from Debian's tools and Maven's R8.
# Needs the classes that `make test-android` has compiled. Says in one line which piece is missing.
# With APK_WITHOUT_RUNTIME=1 the ExecuTorch AAR may be missing: that app says so and scores nothing.
set -eu
aars=$1 model=$2 out=$3
host=$(cd "$(dirname "$0")" && pwd)
app=$host/../app
framework=/usr/share/android-framework-res/framework-res.apk
r8=com.android.tools:r8:9.5.28

missing() {
    echo "apk: $1" >&2
    exit 1
}

for tool in aapt zipalign apksigner dexdump keytool mvn unzip zip; do
    command -v "$tool" >/dev/null || missing "$tool is missing"
done
[ -f "$framework" ] || missing "$framework is missing: apt-get install android-framework-res"
[ -f "$model" ] || missing "$model is missing: python -m export demo"
[ -d "$host/app/target/classes/org" ] || missing "no classes: make test-android first"

runtime=$aars/executorch-android.aar
if [ ! -s "$runtime" ] && [ -z "${APK_WITHOUT_RUNTIME:-}" ]; then
    missing "the ExecuTorch AAR is missing: set EXECUTORCH_AAR to a copy, or APK_WITHOUT_RUNTIME=1"
fi

property() { sed -n "s|.*<$1>\(.*\)</$1>.*|\1|p" "$host/pom.xml" | head -1; }

# jar GROUP:NAME:VERSION : $out/jars/NAME.jar
jar() {
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" \
        -DoutputDirectory="$out/jars" -Dmdep.stripVersion=true >"$out/maven.log" 2>&1 ||
        missing "$1 is not in the Maven repositories that this machine reaches"
}

rm -rf "$out" && mkdir -p "$out/dex" "$out/package" "$out/assets"
jar "$r8"
jar "org.jetbrains.kotlin:kotlin-stdlib:$(property kotlin.version)"
jar "org.robolectric:android-all:$(property android.version)"

# What Gradle would give to D8: the app, the scorer and the libraries of both.
(cd "$host/app/target/classes" && zip -q -r "$out/app.jar" .)
(cd "$host/scorer/target/classes" && zip -q -r "$out/scorer.jar" .)
set -- "$out/app.jar" "$out/scorer.jar" "$out/jars/kotlin-stdlib.jar"
if [ -s "$runtime" ]; then
    set -- "$@" "$aars/executorch/classes.jar" "$aars/fbjni/classes.jar" "$aars/nativeloader.jar"
    for abi in arm64-v8a x86_64; do
        for aar in "$runtime" "$aars/fbjni.aar"; do
            mkdir -p "$out/package/lib/$abi"
            unzip -q -o -j "$aar" "jni/$abi/*.so" -d "$out/package/lib/$abi"
        done
    done
fi
# android-all leaves out java.lang, which is this machine's.
jdk=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p')
java -Xmx2g -cp "$out/jars/r8.jar" com.android.tools.r8.D8 --release --min-api 26 \
    --lib "$out/jars/android-all.jar" --lib "$jdk" --output "$out/dex" "$@"

cp "$model" "$out/assets/spoof_scorer.pte"
"$host/resources.sh" "$out/resources"
aapt package -f --auto-add-overlay -I "$framework" --min-sdk-version 26 --target-sdk-version 35 \
    --version-code 1 --version-name 0.1.0 -0 pte -M "$out/resources/AndroidManifest.xml" \
    -S "$app/src/main/res" -A "$out/assets" -F "$out/package/unaligned.apk"
cp "$out"/dex/classes*.dex "$out/package/"
(cd "$out/package" && zip -q -r unaligned.apk classes*.dex && { [ ! -d lib ] || zip -q -r unaligned.apk lib; })
zipalign -f -p 4 "$out/package/unaligned.apk" "$out/aligned.apk"

keytool -genkeypair -keystore "$out/debug.keystore" -storepass android -keypass android \
    -alias debug -dname "CN=Android Debug" -keyalg RSA -keysize 2048 -validity 10000 >"$out/keytool.log" 2>&1
name=spoof-scorer.apk
[ -s "$runtime" ] || name=spoof-scorer-without-runtime.apk
apksigner sign --ks "$out/debug.keystore" --ks-pass pass:android --min-sdk-version 26 \
    --out "$out/$name" "$out/aligned.apk"
apksigner verify --min-sdk-version 26 "$out/$name"
for class in MainActivity ExecuTorchEngine; do
    dexdump "$out/$name" | grep -q "Class descriptor  : 'Lorg/scriptable/app/$class;'" ||
        missing "$class is not in the dex files of $name"
done
echo "$out/$name: $(stat -c %s "$out/$name") bytes, signed and verified"
