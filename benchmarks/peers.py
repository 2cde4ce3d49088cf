"""What a ratio is compared with, and in which version."""

from collections.abc import Mapping


def with_version(beside: str, versions: Mapping[str, str]) -> str:
    """The name with the version of its package; torch's functions have torch's, loops have none."""
    package = beside.split()[0].lower().removesuffix("'s")
    if package.startswith("f."):
        package = "torch"
    version = versions.get(package, "not installed")
    return beside if version == "not installed" else f"{beside} {version}"
