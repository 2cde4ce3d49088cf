#!/bin/sh
# apk.sh AARS SCORER MODEL OUT: a signed release APK without an Android SDK, from Debian's tools and R8.
# Needs the classes that `make test-android` has compiled, and the scorer's AAR. Says in one line which
# piece is missing. APK_KEYSTORE names a keystore to sign with, APK_KEYSTORE_PASS its password; without
# them a key of this checkout's own is made, and kept beside AARS.
set -eu
aars=$1 scorer=$2 model=$3 out=$4
host=$(cd "$(dirname "$0")" && pwd)
app=$host/../app
python=${PYTHON:-python3}
r8=com.android.tools:r8:9.5.28

missing() {
    echo "apk: $1" >&2
    exit 1
}

for tool in aapt zipalign apksigner dexdump readelf keytool mvn unzip zip; do
    command -v "$tool" >/dev/null || missing "$tool is missing"
done
[ -f "$model" ] || missing "$model is missing: python -m export demo"
[ -s "$scorer" ] || missing "$scorer is missing: make scorer-aar"
[ -d "$host/app/target/classes/org" ] || missing "no classes: make test-android first"
[ -s "$aars/executorch-android.aar" ] || missing "no runtime: android_demo/host/fetch.sh says why"

property() { sed -n "s|.*<$1>\(.*\)</$1>.*|\1|p" "$host/pom.xml" | head -1; }

# jar GROUP:NAME:VERSION : prints the path of the jar
jar() {
    name=${1#*:}
    path=$aars/jars/$(echo "$name" | tr : -).jar
    [ -s "$path" ] ||
        mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" \
            -DoutputDirectory="$aars/jars" >"$out/maven.log" 2>&1 ||
        missing "$1 is not in the Maven repositories that this machine reaches"
    echo "$path"
}

rm -rf "$out" && mkdir -p "$out/dex" "$out/assets" "$out/lib" "$out/scorer"
r8=$(jar "$r8")
stdlib=$(jar "org.jetbrains.kotlin:kotlin-stdlib:$(property kotlin.version)")
android=$(jar "org.robolectric:android-all:$(property android.version)")

# The app's assets: the model, which runtime is packed, and the notices of all that is.
cp "$model" "$out/assets/spoof_scorer.pte"
cp "$aars/runtime.properties" "$out/assets/"
"$python" "$host/licences.py" "$out/assets/licences.txt"
"$host/resources.sh" "$out/resources" "$out/assets"

# What Gradle would give to R8: the app, the scorer and the libraries of both.
unzip -q -j "$scorer" classes.jar proguard.txt -d "$out/scorer"
(cd "$host/app/target/classes" && find org -name '*.class' | LC_ALL=C sort | zip -q -X "$out/app.jar" -@)
# android-all leaves out java.lang, which is this machine's.
jdk=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p')
java -Xmx2g -cp "$r8" com.android.tools.r8.R8 --release --min-api 26 \
    --lib "$android" --lib "$jdk" --pg-map-output "$out/mapping.txt" \
    --pg-conf "$app/proguard-rules.pro" --pg-conf "$out/scorer/proguard.txt" \
    --pg-conf "$out/resources/rules.pro" --output "$out/dex" \
    "$out/app.jar" "$out/scorer/classes.jar" "$stdlib" \
    "$aars/executorch/classes.jar" "$aars/fbjni/classes.jar" "$aars/nativeloader.jar"

for abi in arm64-v8a x86_64; do
    mkdir -p "$out/lib/$abi"
    for aar in executorch-android fbjni; do
        unzip -q -o -j "$aars/$aar.aar" "jni/$abi/*.so" -d "$out/lib/$abi"
    done
done
"$python" "$host/pack_apk.py" "$out/unsigned.apk" "$out/resources/resources.ap_" "$out/dex" "$out/lib"

store=${APK_KEYSTORE:-$aars/debug.keystore}
if [ -z "${APK_KEYSTORE:-}" ]; then
    APK_KEYSTORE_PASS=android
    [ -s "$store" ] || keytool -genkeypair -keystore "$store" -storepass android -keypass android \
        -alias debug -dname "CN=Android Debug" -keyalg RSA -keysize 2048 -validity 10000 >"$out/keytool.log" 2>&1
fi
export APK_KEYSTORE_PASS
apk=$out/spoof-scorer.apk
apksigner sign --ks "$store" --ks-pass env:APK_KEYSTORE_PASS --min-sdk-version 26 \
    --v1-signing-enabled false --out "$apk" "$out/unsigned.apk"
apksigner verify --min-sdk-version 26 "$apk"
# Before build tools 35, zipalign knows no pages but those of 4 KB; check_apk.py looks at 16 KB itself.
if zipalign 2>&1 | grep -q -e '-P '; then
    zipalign -c -P 16 4 "$apk"
else
    zipalign -c -p 4 "$apk"
fi
"$python" "$host/check_apk.py" "$apk"
echo "$apk: signed and verified; the runtime in it is $(sed -n 's/^artifact=//p' "$aars/runtime.properties")"
