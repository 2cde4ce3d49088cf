#!/bin/sh
# version.sh: "NAME CODE" of the app, from the last tag vMAJOR.MINOR.PATCH; before the first one from
# pyproject.toml. Gradle and aapt take both from here.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
if described=$(git -C "$root" describe --tags --match 'v[0-9]*.[0-9]*.[0-9]*' 2>/dev/null); then
    name=${described#v}
else
    name=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1)
fi
numbers=${name%%-*}
IFS=. read -r major minor patch <<END
$numbers
END
echo "$name $((major * 1000000 + minor * 1000 + patch))"
