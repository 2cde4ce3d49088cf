"""Score and key files: read, written, joined; bad lines are named by file and line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.errors import InputError
from export.metrics.score_files import (
    Line,
    join,
    read_keys,
    read_scores,
    read_tandem_scores,
    write_keys,
    write_scores,
)


def text_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_2019_protocol(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "p", "LA_0079 LA_T_1138215 - - bonafide", "", "LA_0080 LA_T_1271820 - A01 spoof"
    )
    assert tuple(read_keys(path)) == (
        Line(("LA_T_1138215",), key="bonafide", speaker="LA_0079"),
        Line(("LA_T_1271820",), key="spoof", attack="A01", speaker="LA_0080"),
    )


def test_a_2021_protocol_of_the_countermeasure(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "p",
        "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval",
        "LA_0010 LA_E_9332882 none - bonafide bonafide notrim eval",
    )
    assert [(line.trial, line.key, line.attack) for line in read_keys(path)] == [
        (("LA_E_9332881",), "spoof", "A07"),
        (("LA_E_9332882",), "bonafide", "bonafide"),
    ]
    deepfake = "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress vocoder - - - -"
    [line] = read_keys(text_file(tmp_path / "d", deepfake))
    assert (line.trial, line.key) == (("DF_E_2000011",), "spoof")


def test_a_2021_protocol_of_the_verification_names_pairs(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "p",
        "LA_0007 LA_E_5013670 alaw ita_tx bonafide nontarget notrim eval",
        "LA_0008 LA_E_5013670 alaw ita_tx bonafide target notrim eval",
        "LA_0008 LA_E_5013671 alaw ita_tx A08 spoof notrim eval",
    )
    assert [line.trial for line in read_keys(path)] == [
        ("LA_0007", "LA_E_5013670"),
        ("LA_0008", "LA_E_5013670"),
        ("LA_0008", "LA_E_5013671"),
    ]


def test_a_2019_protocol_of_the_verification(tmp_path: Path) -> None:
    path = text_file(tmp_path / "p", "LA_0001 LA_D_1 bonafide target", "LA_0001 LA_D_2 A01 spoof")
    assert list(read_keys(path))[1] == Line(("LA_0001", "LA_D_2"), key="spoof", attack="A01")


def test_kaldi_trials_and_scores(tmp_path: Path) -> None:
    trials = text_file(tmp_path / "trials", "spk1 utt1 target", "spk1 utt2 nontarget")
    scores = text_file(tmp_path / "scores", "spk1 utt2 -1.5", "spk1 utt1 2e0")
    assert list(join(read_scores(scores), read_keys(trials))) == [
        Line(("spk1", "utt1"), 2.0, "target"),
        Line(("spk1", "utt2"), -1.5, "nontarget"),
    ]


def test_scores_of_2019_hold_their_keys(tmp_path: Path) -> None:
    path = text_file(tmp_path / "s", "LA_D_1 - bonafide 3.5", "LA_D_2 A01 spoof -0.25")
    assert tuple(read_scores(path)) == (
        Line(("LA_D_1",), 3.5, "bonafide"),
        Line(("LA_D_2",), -0.25, "spoof", "A01"),
    )


def test_tandem_scores_have_no_names(tmp_path: Path) -> None:
    path = text_file(tmp_path / "s", "bonafide target 5.1", "bonafide nontarget -2", "A01 spoof 1")
    found = read_tandem_scores(path)
    assert found.scores.tolist() == [5.1, -2.0, 1.0]
    assert found.labels.tolist() == [1, 0, 2]


def test_a_csv_with_a_quoted_name_and_further_columns(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "s.csv",
        "part,key,file,score,llr,decision",
        'held_out,bonafide,"a, b.wav",0.5,2.5,bonafide',
    )
    assert tuple(read_scores(path)) == (
        Line(("a, b.wav",), 0.5, "bonafide", llr=2.5, part="held_out"),
    )


names = st.text("abcXYZ019_-.", min_size=1, max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(names, numbers, min_size=1, max_size=6))
def test_scores_come_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, float]
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    files = [Line((name,), score, "spoof", "A07") for name, score in found.items()]
    pairs = [Line(("enrol", name), score, "target") for name, score in found.items()]
    write_scores(files, folder / "2019", "asvspoof2019_cm")
    assert list(read_scores(folder / "2019")) == files
    write_scores(files, folder / "2021", "asvspoof2021_cm")
    assert [(x.trial, x.score) for x in read_scores(folder / "2021")] == [
        (x.trial, x.score) for x in files
    ]
    write_scores(pairs, folder / "kaldi", "kaldi")
    assert [(x.trial, x.score) for x in read_scores(folder / "kaldi")] == [
        (x.trial, x.score) for x in pairs
    ]
    for lines in (files, pairs):
        write_scores(lines, folder / "csv", "csv")
        assert list(read_scores(folder / "csv")) == lines


def test_keys_come_back(tmp_path: Path) -> None:
    files = [Line(("a",), key="bonafide", speaker="s"), Line(("b",), key="spoof", attack="A01")]
    pairs = [Line(("a", "b"), key="target"), Line(("a", "c"), key="spoof", attack="A01")]
    write_keys(files, tmp_path / "x", "asvspoof2019")
    assert list(read_keys(tmp_path / "x")) == files
    write_keys(pairs, tmp_path / "x", "asvspoof2019_asv")
    assert list(read_keys(tmp_path / "x")) == pairs
    write_keys(pairs, tmp_path / "x", "trials")
    assert [(line.trial, line.key) for line in read_keys(tmp_path / "x")] == [
        (line.trial, line.key) for line in pairs
    ]
    write_keys(files, tmp_path / "x", "csv")
    assert list(read_keys(tmp_path / "x")) == files


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        (["a 1", "b"], 2, "expected 2 columns (asvspoof2021_cm: FILE SCORE), got 1: 'b'"),
        (["a 1", "b c 2"], 2, "expected 2 columns (asvspoof2021_cm: FILE SCORE), got 3: 'b c 2'"),
        (["a 1", "", "b one"], 3, "column 2, score: expected a number, got 'one'"),
        (["a 1", "b nan"], 2, "trial 'b': score is NaN"),
        (["a 1", "b 2", "a 3"], 3, "trial 'a' is also in line 1"),
        (
            ["a A01 spof 1"],
            1,
            "column 3, key: expected bonafide, spoof, target, nontarget, got 'spof'",
        ),
        (["file,llr", "a,1"], 1, "expected a column score"),
        (["name,score", "a,1"], 1, "expected a column file, or columns enrol and test"),
        (["file,score", "a,1", "b,x"], 3, "column 2, score: expected a number, got 'x'"),
        (["file,score", "a"], 2, "expected 2 columns (csv: file score), got"),
        (["file,score", "a,1,2"], 2, "expected 2 columns (csv: file score), got"),
    ],
)
def test_a_bad_line_of_scores_is_named(
    tmp_path: Path, lines: list[str], place: int, said: str
) -> None:
    path = text_file(tmp_path / "scores", *lines)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert str(caught.value).startswith(f"{path}:{place}: {said}")


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        (
            ["s a - - bonafide", "s b - -"],
            2,
            "expected 5 columns (asvspoof2019: SPEAKER FILE - ATTACK KEY), got 4",
        ),
        (
            ["s a - - genuine"],
            1,
            "column 5, key: expected bonafide, spoof, target, nontarget, got 'genuine'",
        ),
        (["a b target", "a b nontarget"], 2, "trial 'a b' is also in line 1"),
        (
            ["a b"],
            1,
            "no format has 2 columns: 'a b'; known formats: trials (ENROL TEST KEY), voxceleb",
        ),
        (
            ["file,key", "a,"],
            2,
            "column 2, key: expected bonafide, spoof, target, nontarget, got ''",
        ),
    ],
)
def test_a_bad_line_of_keys_is_named(
    tmp_path: Path, lines: list[str], place: int, said: str
) -> None:
    path = text_file(tmp_path / "keys", *lines)
    with pytest.raises(InputError) as caught:
        read_keys(path)
    assert str(caught.value).startswith(f"{path}:{place}: {said}")


def test_a_bad_line_of_tandem_scores_is_named(tmp_path: Path) -> None:
    path = text_file(tmp_path / "s", "bonafide target 1", "bonafide 2")
    with pytest.raises(
        InputError, match=f"{path}:2: expected 3 columns .asvspoof2019_tandem: ATTACK KEY"
    ):
        read_tandem_scores(path)


def test_no_file_no_text_no_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot be read"):
        read_scores(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match="binary: is not a text file"):
        read_keys(tmp_path / "binary")
    with pytest.raises(InputError, match="empty: contains no scores"):
        read_scores(text_file(tmp_path / "empty", ""))


def joined(folder: Path, scores: list[str], keys: list[str]) -> list[Line]:
    """The lines of two files, joined."""
    found = text_file(folder / "s", *scores), text_file(folder / "k", *keys)
    return list(join(read_scores(found[0]), read_keys(found[1])))


KEYED = [f"x {name} - - bonafide" for name in "abcde"]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([f"{n} 1" for n in "abde"], "1 trial without a score: c$"),
        (["a 1"], r"4 trials without a score: b, c, d, \.\.\.$"),
        ([f"{n} 1" for n in "xabcdey"], "2 trials not in the protocol: x, y$"),
        ([f"{n} A01 spoof 1" for n in "abcde"], "trial 'a': key spoof, the protocol says bonafide"),
        (["a b 1"], "scores pairs of enrolment and test, but the protocol lists files"),
    ],
)
def test_files_that_do_not_fit_together_are_named(
    tmp_path: Path, scores: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/s: {said}"):
        joined(tmp_path, scores, KEYED)


def test_the_protocols_order_counts_and_a_subset_is_enough(tmp_path: Path) -> None:
    found = joined(tmp_path, [f"{name} {ord(name)}" for name in "edcba"], KEYED)
    assert [(line.name, line.score) for line in found] == [(n, float(ord(n))) for n in "abcde"]


def test_what_does_not_fit_a_layout_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for lines, layout, said in (
        ([Line(("a", "b"), 1.0)], "asvspoof2021_cm", "names 1 of a trial"),
        ([Line(("a b",), 1.0)], "asvspoof2021_cm", "the name contains white space"),
        ([Line(("a",), 1.0)], "asvspoof2019_cm", "has no key to write"),
        ([Line(("a",))], "asvspoof2021_cm", "has no score to write"),
    ):
        with pytest.raises(InputError, match=said):
            write_scores(lines, path, layout)
        assert list(tmp_path.iterdir()) == []
