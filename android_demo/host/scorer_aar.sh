#!/bin/sh
# scorer_aar.sh OUT: the scorer as a library, in the layout of a Maven repository, from the classes that
# `make test-android` has compiled: AAR, sources (with their KDoc), the reference, and the POM.
set -eu
host=$(cd "$(dirname "$0")" && pwd)
scorer=$host/../scorer
classes=$host/scorer/target/classes
read -r version _ <<END
$("$host/version.sh")
END
catalogue=$host/../gradle/libs.versions.toml
version_of() { sed -n "s/^$1 = \"\([^\"]*\)\".*/\1/p" "$catalogue"; }
[ -d "$classes/org" ] || { echo "scorer-aar: no classes: make test-android first" >&2; exit 1; }

folder=$1/org/scriptable/scorer/$version
base=$folder/scorer-$version
rm -rf "$folder" && mkdir -p "$folder/aar"
folder=$(cd "$folder" && pwd)
base=$folder/scorer-$version

# archive OUT FOLDER: the same bytes each time.
archive() {
    find "$2" -exec touch -h -d '1981-01-01 01:01:02 UTC' {} +
    (cd "$2" && find . -type f ! -name '*.kotlin_module.*' | sed 's|^\./||' | LC_ALL=C sort | TZ=UTC zip -q -X "$1" -@)
}

cp -R "$classes" "$folder/classes"
archive "$folder/aar/classes.jar" "$folder/classes"
cp "$scorer/consumer-rules.pro" "$folder/aar/proguard.txt"
: >"$folder/aar/R.txt"
echo '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="org.scriptable.scorer"><uses-sdk android:minSdkVersion="26" /></manifest>' \
    >"$folder/aar/AndroidManifest.xml"
archive "$base.aar" "$folder/aar"
cp -R "$scorer/src/main/kotlin" "$folder/sources"
archive "$base-sources.jar" "$folder/sources"
if [ -d "$host/scorer/target/dokka" ]; then
    cp -R "$host/scorer/target/dokka" "$folder/reference"
    archive "$base-javadoc.jar" "$folder/reference"
fi
cat >"$base.pom" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.scriptable</groupId>
  <artifactId>scorer</artifactId>
  <version>$version</version>
  <packaging>aar</packaging>
  <description>Scores audio with a .pte as its score contract says</description>
  <licenses>
    <license><name>Apache-2.0</name></license>
  </licenses>
  <dependencies>
    <dependency>
      <groupId>org.jetbrains.kotlin</groupId>
      <artifactId>kotlin-stdlib</artifactId>
      <version>$(version_of kotlin)</version>
    </dependency>
    <dependency>
      <groupId>org.pytorch</groupId>
      <artifactId>executorch-android</artifactId>
      <version>$(version_of executorch)</version>
    </dependency>
  </dependencies>
</project>
END
rm -rf "$folder/aar" "$folder/classes" "$folder/sources" "$folder/reference"
cp "$base.aar" "$1/scorer.aar"
echo "$base.aar: $(stat -c %s "$base.aar") bytes"
