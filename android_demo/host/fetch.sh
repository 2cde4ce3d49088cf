#!/bin/sh
# fetch.sh OUT: the AARs that the app packs, from Maven, with the versions that Gradle takes.
# Prints one line for each that is not to be had and goes on; EXECUTORCH_AAR names a local copy.
set -eu
out=$1
executorch=$(sed -n 's/^executorch = "\([^"]*\)".*/\1/p' "$(dirname "$0")/../gradle/libs.versions.toml")
mkdir -p "$out"

# fetch GROUP:NAME:VERSION:TYPE FILE
fetch() {
    [ -s "$out/$2" ] && return
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" \
        -DoutputDirectory="$out/part" -Dmdep.stripVersion=true >"$out/log" 2>&1 || {
        echo "fetch: $1 is not in the Maven repositories that this machine reaches" >&2
        return
    }
    mv "$out"/part/* "$out/$2"
}

if [ -n "${EXECUTORCH_AAR:-}" ]; then
    cp "$EXECUTORCH_AAR" "$out/executorch-android.aar"
else
    fetch "org.pytorch:executorch-android:$executorch:aar" executorch-android.aar
fi
fetch com.facebook.fbjni:fbjni:0.7.0:aar fbjni.aar
fetch com.facebook.soloader:nativeloader:0.10.5:jar nativeloader.jar
if [ -s "$out/executorch-android.aar" ]; then
    unzip -q -o -j "$out/executorch-android.aar" classes.jar -d "$out/executorch"
fi
if [ -s "$out/fbjni.aar" ]; then
    unzip -q -o -j "$out/fbjni.aar" classes.jar -d "$out/fbjni"
fi
