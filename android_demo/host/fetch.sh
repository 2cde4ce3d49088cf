#!/bin/sh
# fetch.sh OUT: the runtime that the app packs, and what the runtime needs. In this order:
#   EXECUTORCH_AAR=FILE      a copy that you have
#   Maven                    org.pytorch:executorch-android, of the version that Gradle takes
#   npm                      react-native-executorch, which holds a build of the same classes and libraries
# Says which it took, and notes it in OUT/runtime.properties, which the app shows.
set -eu
out=$1
host=$(cd "$(dirname "$0")" && pwd)
catalogue=$host/../gradle/libs.versions.toml
npm_package=react-native-executorch
npm_version=0.9.3
npm_integrity=sha512-eanpDe8sFFxbKfCh0lqrSVyU4/deiF1pZWtZOjZSV+w+qfuNsdrkQkoscxvhMwJOnvXNkBt4BXAr8pAlGOXStA==
mkdir -p "$out"

version() { sed -n "s/^$1 = \"\([^\"]*\)\".*/\1/p" "$catalogue"; }

say() { echo "fetch: $*" >&2; }

# maven GROUP:NAME:VERSION:TYPE FILE
maven() {
    [ -s "$out/$2" ] && return
    rm -rf "$out/part"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" \
        -DoutputDirectory="$out/part" -Dmdep.stripVersion=true >"$out/log" 2>&1 || return 1
    mv "$out"/part/* "$out/$2"
}

# note ARTIFACT EXECUTORCH: what the package says of itself; the second is empty where it says nothing.
note() {
    printf 'artifact=%s\nexecutorch=%s\n' "$1" "$2" >"$out/runtime.properties"
}

from_npm() {
    "$host/../packages.sh" npm=npm openssl=openssl zip=zip
    work=$out/npm
    rm -rf "$work" && mkdir -p "$work/aar"
    (cd "$work" && npm pack --silent "$npm_package@$npm_version" >/dev/null 2>"$out/log") || return 1
    found=sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | openssl base64 -A)
    [ "$found" = "$npm_integrity" ] || {
        say "$npm_package@$npm_version: expected $npm_integrity, got $found"
        exit 1
    }
    tar xzf "$work"/*.tgz -C "$work" package/android/libs package/third-party/android/libs/executorch package/package.json
    package=$work/package
    cp "$package/android/libs/classes.jar" "$work/aar/"
    for abi in arm64-v8a x86_64; do
        mkdir -p "$work/aar/jni/$abi"
        cp "$package/third-party/android/libs/executorch/$abi/libexecutorch.so" "$work/aar/jni/$abi/"
    done
    echo '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="org.pytorch.executorch"><uses-sdk android:minSdkVersion="26" /></manifest>' \
        >"$work/aar/AndroidManifest.xml"
    rm -f "$out/executorch-android.aar"
    (cd "$work/aar" && zip -q -r -X "$out/executorch-android.aar" .)
    note "npm $npm_package $(sed -n 's/^ *"version": "\(.*\)",/\1/p' "$package/package.json" | head -1)" ""
    rm -rf "$work"
}

executorch=$(version executorch)
pins="org.pytorch:executorch-android:$executorch $npm_package@$npm_version"
if [ -n "${EXECUTORCH_AAR:-}" ]; then
    [ -f "$EXECUTORCH_AAR" ] || { say "EXECUTORCH_AAR: $EXECUTORCH_AAR: no such file"; exit 2; }
    cp "$EXECUTORCH_AAR" "$out/executorch-android.aar"
    note "$(basename "$EXECUTORCH_AAR"), SHA-256 $(sha256sum "$EXECUTORCH_AAR" | cut -c 1-12)" ""
    rm -f "$out/pins"
elif [ ! -s "$out/pins" ] || [ "$(cat "$out/pins")" != "$pins" ]; then
    rm -f "$out/executorch-android.aar"
    if maven "org.pytorch:executorch-android:$executorch:aar" executorch-android.aar; then
        note "org.pytorch:executorch-android:$executorch" "$executorch"
    else
        say "org.pytorch:executorch-android:$executorch is not in the Maven repositories that this machine reaches"
        from_npm || { say "nor can $npm_package@$npm_version be had from npm; see $out/log"; exit 1; }
    fi
    echo "$pins" >"$out/pins"
fi
say "the runtime is $(sed -n 's/^artifact=//p' "$out/runtime.properties")"

# ExecuTorch's own dependencies.
for needed in com.facebook.fbjni:fbjni:0.7.0:aar=fbjni.aar com.facebook.soloader:nativeloader:0.10.5:jar=nativeloader.jar; do
    maven "${needed%=*}" "${needed#*=}" || { say "${needed%=*} is not in Maven; see $out/log"; exit 1; }
done
unzip -q -o -j "$out/executorch-android.aar" classes.jar -d "$out/executorch"
unzip -q -o -j "$out/fbjni.aar" classes.jar -d "$out/fbjni"
