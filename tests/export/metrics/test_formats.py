"""Every layout that people have: seen from the file, read, and said where none fits."""

from pathlib import Path

import pytest
from challenge_files import ASV, ASV_KEYS, ASV_LABELS, CM, CM_KEYS, headed, written
from metrics.official_trials import COUNT, PARTS

from export.errors import InputError
from export.metrics import formats
from export.metrics.reading import read, read_keys, read_scores
from export.metrics.score_files import Line, join, read_tandem_scores

SCORES = [
    ("asvspoof2021_cm", "", "f{i} {cm}"),
    ("asvspoof2019_cm", "", "f{i} A07 {cmkey} {cm}"),
    ("asvspoof2021_log", "Loading the model", "Output, f{i}, {mark}, {cm}"),
    ("asvspoof5_cm", "filename\tcm-score", "f{i}\t{cm}"),
    ("csv", "file,score,further", "f{i},{cm},x"),
    ("kaldi", "", "e{i} t{i} {asv}"),
    ("wespeaker", "", "e{i} t{i} {asv} {key}"),
    ("wespeaker_norm", "", "e{i} t{i} {asv} {key} 12.1 11.2 0.1 0.2"),
    ("speechbrain", "", "e{i} t{i} {flag} {asv}"),
    (
        "asvspoof5_sasv",
        "spk\tfilename\tcm-score\tasv-score\tsasv-score",
        "e{i}\tt{i}\t-\t-\t{asv}",
    ),
    ("csv", "enrol,test,score", "e{i},t{i},{asv}"),
]


def made(path: Path, header: str, line: str) -> Path:
    return headed(path, header, line) if header else written(path, line)


@pytest.mark.parametrize(("name", "header", "line"), SCORES)
def test_scores_are_read_in_every_layout(tmp_path: Path, name: str, header: str, line: str) -> None:
    path = made(tmp_path / "s", header, line)
    found = read_scores(path)
    assert found.format.name == name and len(found) == COUNT
    pairs = "e{i}" in line
    assert found.pairs == pairs
    assert found.score is not None
    assert found.score.tolist() == (ASV if pairs else CM)
    expected = ("e7", "t7") if pairs else ("f7",)
    lines = list(found)
    assert lines[7].trial == expected
    if "key}" in line:
        assert [each.key for each in lines] == (ASV_KEYS if pairs else CM_KEYS)
    if "{mark}" in line:
        assert [each.key for each in lines] == CM_KEYS
    if "{flag}" in line:
        assert {each.key for each in lines} == {"target", "nontarget"}
    assert list(read_scores(path, name)) == lines


KEYS = [
    ("asvspoof2019", "", "s f{i} - A07 {cmkey}"),
    ("asvspoof2021", "", "s f{i} alaw ita_tx A07 {cmkey} notrim {part}"),
    ("asvspoof2021_df", "", "s f{i} nocodec asvspoof A07 {cmkey} notrim {part} v - - - -"),
    ("asvspoof2021_pa", "", "s f{i} R3 M3 d4 r1 m1 s4 c4 {cmkey} notrim {part}"),
    ("asvspoof5", "", "s f{i} F - - - AC1 A09 {cmkey} -"),
    ("asvspoof5_cm_key", "filename\tcm-label", "f{i}\t{cmkey}"),
    ("csv", "key,file", "{cmkey},f{i}"),
    ("trials", "", "e{i} t{i} {key}"),
    ("voxceleb", "", "{flag} e{i} t{i}"),
    ("asvspoof2019_asv", "", "e{i} t{i} A07 {key}"),
    ("asvspoof2021", "", "e{i} t{i} alaw ita_tx A07 {key} notrim {part}"),
    ("asvspoof2021_pa", "", "e{i} t{i} R3 M3 d4 r1 m1 s4 c4 {key} notrim {part}"),
    ("asvspoof5_sasv_key", "spk\tfilename\tcm-label\tasv-label", "e{i}\tt{i}\tspoof\t{key}"),
]


@pytest.mark.parametrize(("name", "header", "line"), KEYS)
def test_keys_are_read_in_every_layout(tmp_path: Path, name: str, header: str, line: str) -> None:
    found = read_keys(made(tmp_path / "k", header, line))
    assert found.format.name == name
    pairs = "e{i}" in line
    lines = list(found)
    assert lines[7].trial == (("e7", "t7") if pairs else ("f7",))
    if "{flag}" in line:
        assert [each.key == "target" for each in lines] == [key == "target" for key in ASV_KEYS]
    else:
        assert [each.key for each in lines] == (ASV_KEYS if pairs else CM_KEYS)
    if "{part}" in line:
        hidden = "hidden1_PA" if name == "asvspoof2021_pa" else "hidden"
        assert found.parts() == {"eval": 100, hidden: 50, "progress": 50}
        assert {line.name for line in found.of_part("eval")} == {
            line.name for line, part in zip(lines, PARTS, strict=True) if part == "eval"
        }
    else:
        assert found.parts() == {}


def test_the_attack_is_read_where_the_protocol_has_one(tmp_path: Path) -> None:
    for line in ("s f{i} - A07 {cmkey}", "s f{i} F - - - AC1 A07 {cmkey} -"):
        assert {each.attack for each in read_keys(written(tmp_path / "k", line))} == {"A07"}


def test_the_two_hidden_parts_of_physical_access_are_apart(tmp_path: Path) -> None:
    path = tmp_path / "k"
    lines = [
        f"s f{i} R3 M3 d4 r1 m1 s4 c4 spoof {'trim' if i else 'notrim'} hidden\n" for i in (0, 1)
    ]
    path.write_text("".join(lines))
    assert read_keys(path).parts() == {"hidden1_PA": 1, "hidden2_PA": 1}


def test_the_verification_scores_of_2021_take_their_keys_from_the_protocol(tmp_path: Path) -> None:
    scores = written(tmp_path / "s", "e{i} t{i} {asv}")
    protocol = written(tmp_path / "k", "e{i} t{i} alaw ita_tx A07 {key} notrim {part}")
    found = read_tandem_scores(scores, protocol, "eval")
    chosen = [part == "eval" for part in PARTS]
    assert found.scores.tolist() == [s for s, c in zip(ASV, chosen, strict=True) if c]
    assert found.labels.tolist() == [s for s, c in zip(ASV_LABELS, chosen, strict=True) if c]
    with pytest.raises(InputError, match=r"s: has no keys .*; give the verification protocol"):
        read_tandem_scores(scores)
    with pytest.raises(InputError, match=r"contains the parts eval .100 trials., hidden"):
        read_tandem_scores(scores, protocol)


def test_white_space_blank_lines_and_byte_order_marks_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"\xef\xbb\xbf\n  a \t A01   spoof  +1.5 \r\n\n\tb - bonafide 2e0\r\n   \n")
    assert list(read_scores(path)) == [
        Line(("a",), 1.5, "spoof", "A01"),
        Line(("b",), 2.0, "bonafide"),
    ]


def test_a_file_longer_than_a_block_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("".join(f"file_{i:07d}  {i / 8}\n" for i in range(300_000)))
    found = read_scores(path)
    assert found.score is not None
    assert len(found) == 300_000 and found.score[-1] == 299_999 / 8
    path.write_text(path.read_text() + "file_0000017 0\n")
    with pytest.raises(InputError, match=r":300001: trial 'file_0000017' is also in line 18;"):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("a b c d e f", "scores", "no format has 6 columns: 'a b c d e f'; known formats:"),
        ("a 1.5x", "scores", "column 2, score: expected a number, got '1.5x' (as asvspoof2021_cm"),
        ("e t 2 0.5", "scores", "column 3, key: expected bonafide, spoof, target, nontarget, got"),
        ("e t fake", "keys", "column 3, key: expected bonafide, spoof, target, nontarget, got"),
        ("filename cm-label", "scores", "column 2, score: expected a number, got 'cm-label'"),
        ("e t", "tandem", "no format has 2 columns: 'e t'; known formats: asvspoof2019_tandem"),
    ],
)
def test_a_file_that_fits_none_is_told_the_column_and_the_formats(
    tmp_path: Path, text: str, kind: formats.Kind, said: str
) -> None:
    path = tmp_path / "f"
    path.write_text(text + "\n")
    with pytest.raises(InputError) as caught:
        read(path, kind)
    assert str(caught.value).startswith(f"{path}:1: {said}")
    assert "known formats: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_named_format_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("1 0 1\n")
    assert next(iter(read_keys(path, "voxceleb"))) == Line(("0", "1"), key="target")
    with pytest.raises(InputError, match=r"s:1: column 3, key: expected bonafide"):
        read_keys(path, "trials")
    with pytest.raises(
        InputError, match=r"^format: expected one of asvspoof2021_cm, .* got trials"
    ):
        read_scores(path, "trials")
    with pytest.raises(InputError, match=r"s:1: expected 2 columns .asvspoof2021_cm: FILE SCORE"):
        read_scores(path, "asvspoof2021_cm")


def test_both_ways_of_joining_agree(tmp_path: Path) -> None:
    protocol = read_keys(written(tmp_path / "k", "s f{i} alaw ita_tx A07 {cmkey} notrim {part}"))
    scores = written(tmp_path / "s", "f{i} {cm}")
    ordered = list(join(read_scores(scores), protocol))
    lines = scores.read_text().splitlines()
    scores.write_text("\n".join(reversed(lines)))
    assert list(join(read_scores(scores), protocol)) == ordered
    alone = list(join(read_scores(scores), protocol, "hidden"))
    assert alone == [line for line in ordered if line.part == "hidden"]
    scores.write_text(
        "\n".join(line for line, p in zip(lines, PARTS, strict=True) if p == "hidden")
    )
    assert list(join(read_scores(scores), protocol, "hidden")) == alone


def test_the_page_lists_every_format() -> None:
    page = (Path(__file__).parents[3] / "docs" / "score-files.md").read_text()
    for layout in (*formats.FORMATS, formats.CSV):
        assert f"| `{layout.name}` |" in page, layout.name
        assert layout is formats.CSV or f"| `{layout.shown}` |" in page, layout.name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"filename\tcm-score\n", "contains no scores"),
        (b"file,score\n", "contains no scores"),
        (b"Output, a, 1, 2.0\nnoise\nOutput, b, 0, x\n", "3: column 3, score: expected a number"),
        (bytes(range(128, 256)) * 1000, "is not a text file; expected scores"),
        (b"a 1\n" * 20_000 + b"b \xff\n", "is not a text file"),
        (b"file,score,llr\na,1,\n", "2: column 3, llr: expected a number, got ''"),
    ],
)
def test_odd_files_are_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "odd"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"odd:\s?{said}"):
        read_scores(path)


def test_odd_lines_are_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(b'\n\nfile,score,key\r\n"a b",1,bonafide\r\n\r\n"c, d",2,\r\ne,3,spoof')
    assert list(read_scores(path)) == [
        Line(("a b",), 1.0, "bonafide"),
        Line(("c, d",), 2.0),
        Line(("e",), 3.0, "spoof"),
    ]
    path.write_text('say"so - bonafide 1_0\né\t- spoof   2\n', encoding="utf-8")
    assert [(line.name, line.score) for line in read_scores(path)] == [('say"so', 10.0), ("é", 2.0)]


@pytest.mark.parametrize("order", [1, -1])
def test_a_trial_that_comes_twice_is_seen_in_either_file(tmp_path: Path, order: int) -> None:
    keys = [f"s f{i} - - bonafide" for i in range(5)]
    scores = [f"f{i} {i}" for i in range(5)][::order]
    for lines, path in ((keys, tmp_path / "k"), (scores, tmp_path / "s")):
        for name, text in (("k", keys), ("s", scores)):
            (tmp_path / name).write_text("\n".join(text))
        path.write_text("\n".join([*lines, lines[0]]))
        found = read(tmp_path / "s", "scores"), read(tmp_path / "k", "keys")
        with pytest.raises(
            InputError, match=rf"{path}:6: trial 'f\d' is also in line 1; name each"
        ):
            join(*found)
