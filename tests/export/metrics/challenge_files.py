"""Files of the trials that the ASVspoof packages were run on, in any layout."""

from pathlib import Path

from metrics.official_trials import COUNT, PARTS, countermeasure, verification

CM, CM_LABELS = (x.tolist() for x in countermeasure())
ASV, ASV_LABELS = (x.tolist() for x in verification())
CM_KEYS = ["bonafide" if label else "spoof" for label in CM_LABELS]
ASV_KEYS = [("nontarget", "target", "spoof")[label] for label in ASV_LABELS]


def written(path: Path, line: str, **more: object) -> Path:
    """One line for each trial; ``{key}`` and the rest are filled in."""
    lines = [
        line.format(
            i=i,
            cm=CM[i],
            cmkey=CM_KEYS[i],
            asv=ASV[i],
            key=ASV_KEYS[i],
            part=PARTS[i],
            flag=int(ASV_KEYS[i] == "target"),
            mark=CM_LABELS[i],
            **more,
        )
        for i in range(COUNT)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def headed(path: Path, header: str, line: str) -> Path:
    written(path, line)
    path.write_text(header + "\n" + path.read_text())
    return path
