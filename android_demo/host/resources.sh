#!/bin/sh
# Compiles the app's resources with Debian's aapt: R.java, and the package that Robolectric reads.
# Usage: resources.sh OUT
set -eu
app=$(cd "$(dirname "$0")/../app" && pwd)
out=$1
framework=/usr/share/android-framework-res/framework-res.apk
command -v aapt >/dev/null && test -f "$framework" || {
    echo "resources: aapt is missing: apt-get install aapt android-framework-res" >&2
    exit 1
}
mkdir -p "$out/java" "$out/assets"
# Gradle takes the package and the SDK levels from build.gradle.kts, aapt from the manifest.
sed 's|<manifest |<manifest package="org.scriptable.app" |' "$app/src/main/AndroidManifest.xml" \
    >"$out/AndroidManifest.xml"
aapt package -f -m --auto-add-overlay -I "$framework" \
    --min-sdk-version 26 --target-sdk-version 35 --version-code 1 --version-name 0.1.0 \
    -M "$out/AndroidManifest.xml" -S "$app/src/main/res" -J "$out/java" -F "$out/resources.ap_"
cat >"$out/test_config.properties" <<EOF
android_resource_apk=$out/resources.ap_
android_merged_manifest=$out/AndroidManifest.xml
android_merged_assets=$out/assets
android_custom_package=org.scriptable.app
EOF
