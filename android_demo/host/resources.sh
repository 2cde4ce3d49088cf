#!/bin/sh
# Compiles the app's resources with Debian's aapt: R.java, and the package that Robolectric reads and
# the APK is made of. Usage: resources.sh OUT [ASSETS]
set -eu
host=$(cd "$(dirname "$0")" && pwd)
app=$host/../app
out=$1 assets=${2:-}
framework=/usr/share/android-framework-res/framework-res.apk
command -v aapt >/dev/null && test -f "$framework" || {
    echo "resources: aapt is missing: apt-get install aapt android-framework-res" >&2
    exit 1
}
mkdir -p "$out/java" "$out/assets"
read -r name code <<END
$("$host/version.sh")
END
# Gradle takes the package, the SDK levels and the versions from build.gradle.kts, aapt from the
# manifest; Gradle leaves the libraries uncompressed in the package and says so there.
sed -e 's|<manifest |<manifest package="org.scriptable.app" |' \
    -e 's|<application|<application android:extractNativeLibs="false"|' \
    "$app/src/main/AndroidManifest.xml" >"$out/AndroidManifest.xml"
aapt package -f -m --auto-add-overlay -I "$framework" \
    --min-sdk-version 26 --target-sdk-version 35 --version-code "$code" --version-name "$name" \
    -0 pte -0 arsc -M "$out/AndroidManifest.xml" -S "$app/src/main/res" ${assets:+-A "$assets"} \
    -J "$out/java" -G "$out/rules.pro" -F "$out/resources.ap_"
cat >"$out/test_config.properties" <<END
android_resource_apk=$out/resources.ap_
android_merged_manifest=$out/AndroidManifest.xml
android_merged_assets=$out/assets
android_custom_package=org.scriptable.app
END
