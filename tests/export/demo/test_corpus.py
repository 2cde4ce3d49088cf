"""Corpora from a protocol and from a folder of speech, and their split by speaker."""

from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from corpus_helpers import Recorder, check_pairs, check_split, write_noise
from speech_helpers import SPEECH, needs_speech

from export.corpus import (
    BONA_FIDE,
    SPOOF,
    VOCODERS,
    Utterance,
    from_protocol,
    from_speech_folder,
    read_protocol,
    split_by_speaker,
)
from export.errors import InputError

# Protocol


def test_protocol_lines_become_trials(tmp_path):
    path = tmp_path / "p.txt"
    path.write_bytes(b"\xef\xbb\xbfA a1 - - bonafide\r\n\r\nB  b1.flac\t- A07 spoof\r\n")
    first, second = read_protocol(path)
    assert (first.speaker, first.name, first.attack, first.label) == ("A", "a1", "-", BONA_FIDE)
    assert (second.speaker, second.name, second.attack, second.label) == ("B", "b1", "A07", SPOOF)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"p\.txt: is empty; expected lines of SPEAKER FILE - ATTACK KEY"),
        ("\n  \n", "is empty"),
        ("A a1 - - bonafide\nB b1 - spoof\n", r"p\.txt:2: expected 5 fields .*, got 4"),
        ("A a1 - - bonafide x\n", r"p\.txt:1: expected 5 fields .*, got 6"),
        ("A a1 - - genuine\n", r"p\.txt:1: key: expected bonafide or spoof, got 'genuine'"),
        (
            "A a1 - - bonafide\nB b1 - x spoof\nC a1 - x spoof\n",
            r"p\.txt:3: file 'a1' is also named in line 1",
        ),
        ("A a1 - - bonafide\n", "has no spoof line; both classes are needed"),
        ("A a1 - x spoof\n", "has no bonafide line"),
        (b"\xff\xfe\x00\x01", "is not a text file"),
        (None, r"p\.txt: cannot be read \(No such file"),
    ],
)
def test_bad_protocols_are_answered_with_the_line(tmp_path, content, message):
    path = tmp_path / "p.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_protocol(path)
    assert "\n" not in str(caught.value)


def test_files_are_found_anywhere_and_converted(tmp_path):
    write_noise(tmp_path / "audio/a1.wav")
    write_noise(tmp_path / "audio/deep/down/b1.FLAC", rate=44100, channels=2)
    write_noise(tmp_path / "audio/unused.wav")
    (tmp_path / "audio/._a1.wav").write_text("metadata")
    protocol = tmp_path / "p.txt"
    protocol.write_text("B b1 - A07 spoof\nA a1 - - bonafide\n")
    recorder = Recorder()
    corpus = from_protocol(protocol, tmp_path / "audio", 16000, progress=recorder)
    recorder.check(2)
    assert [(u.name, u.label, len(u.waveform)) for u in corpus.utterances] == [
        ("a1", BONA_FIDE, 8000),
        ("b1", SPOOF, 8000),
    ]
    assert corpus.sample_rate == 16000
    assert corpus.notes == (
        "1 of 2 files mixed down from 2 channels",
        "1 of 2 files resampled from 44100 Hz",
    )


def test_a_file_found_twice_is_an_error_that_names_both(tmp_path):
    write_noise(tmp_path / "x/a1.wav")
    write_noise(tmp_path / "y/a1.flac")
    write_noise(tmp_path / "b1.wav")
    protocol = tmp_path / "p.txt"
    protocol.write_text("A a1 - - bonafide\nB b1 - x spoof\n")
    with pytest.raises(InputError, match=r"'a1' of the protocol is ambiguous: .*x/a1.* and .*y/a1"):
        from_protocol(protocol, tmp_path, 16000)


def test_missing_files_are_counted_and_the_first_named(tmp_path):
    write_noise(tmp_path / "a1.wav")
    protocol = tmp_path / "p.txt"
    spoofs = "".join(f"B b{i} - x spoof\n" for i in range(5))
    protocol.write_text("A a1 - - bonafide\n" + spoofs)
    with pytest.raises(InputError, match=r"5 of 6 files .* missing .*: b0, b1, b2, \.\.\."):
        from_protocol(protocol, tmp_path, 16000)
    with pytest.raises(InputError, match="no such folder"):
        from_protocol(protocol, tmp_path / "nowhere", 16000)
    with pytest.raises(InputError, match="is not a folder"):
        from_protocol(protocol, protocol, 16000)


def test_linked_folders_are_followed_once(tmp_path):
    write_noise(tmp_path / "store/a1.wav")
    write_noise(tmp_path / "audio/b1.wav")
    (tmp_path / "audio/link").symlink_to(tmp_path / "store")
    (tmp_path / "audio/loop").symlink_to(tmp_path / "audio")
    protocol = tmp_path / "p.txt"
    protocol.write_text("A a1 - - bonafide\nB b1 - x spoof\n")
    assert len(from_protocol(protocol, tmp_path / "audio", 16000).utterances) == 2


def test_a_limit_takes_files_of_every_speaker(tmp_path):
    lines = []
    for speaker in "AB":
        for number in range(3):
            for key, attack in (("bonafide", "-"), ("spoof", "A01")):
                name = f"{speaker}{number}{key}"
                write_noise(tmp_path / f"{name}.wav", seconds=0.01)
                lines.append(f"{speaker} {name} - {attack} {key}\n")
    protocol = tmp_path / "p.txt"
    protocol.write_text("".join(lines))
    corpus = from_protocol(protocol, tmp_path, 16000, limit=2)
    assert Counter((u.speaker, u.label) for u in corpus.utterances) == {
        (speaker, label): 1 for speaker in "AB" for label in (BONA_FIDE, SPOOF)
    }
    assert corpus.notes == ("4 of the 12 files of the protocol used",)
    with pytest.raises(InputError, match="limit: expected at least 1"):
        from_protocol(protocol, tmp_path, 16000, limit=0)


@needs_speech
def test_the_real_protocol():
    corpus = from_protocol(SPEECH / "protocol.txt", SPEECH, 16000)
    assert Counter(u.label for u in corpus.utterances) == {BONA_FIDE: 12, SPOOF: 15}
    assert Counter(u.attack for u in corpus.utterances) == {"-": 12, "espeak": 6, "flite": 9}
    assert corpus.notes == ()
    split = split_by_speaker(corpus.utterances, 0.3, seed=0)
    check_split(corpus.utterances, split)
    assert split.notes == ()


# Speech folder


@pytest.mark.parametrize(
    ("files", "speakers", "noted"),
    [
        (["ann/1.wav", "ann/2.flac", "bob/1.wav"], {"ann": 2, "bob": 1}, None),
        (["all/ann/x/1.wav", "all/bob/1.wav"], {"ann": 1, "bob": 1}, None),
        (["ann_1.wav", "ann_2.wav", "bob-1.wav"], {"ann": 2, "bob": 1}, None),
        (["ann/1.wav", "bob_1.wav"], {"ann": 1, "bob": 1}, None),
        (["x1.wav", "x2.wav"], {"x1": 1, "x2": 1}, "no two files of a speaker"),
        (["x_1.wav", "x_2.wav"], {"x_1": 1, "x_2": 1}, "one speaker"),
    ],
)
def test_speakers_of_a_folder(tmp_path, files, speakers, noted):
    for seed, name in enumerate(files):
        write_noise(tmp_path / name, seed=seed)
    corpus = from_speech_folder(tmp_path, 16000)
    assert {u.name for u in corpus.utterances if u.label == BONA_FIDE} == {
        name.rsplit(".", 1)[0] for name in files
    }
    for label in (BONA_FIDE, SPOOF):
        assert Counter(u.speaker for u in corpus.utterances if u.label == label) == speakers
    if noted is None:
        assert corpus.notes == ()
    else:
        assert noted in corpus.notes[0]


def test_copies_of_a_folder_differ_in_nothing_but_the_vocoding(tmp_path):
    for number in range(len(VOCODERS)):
        write_noise(tmp_path / f"a_{number}.wav", seed=number)
        write_noise(tmp_path / f"b_{number}.wav", seed=number + 50, rate=22050)
    recorder = Recorder()
    corpus = from_speech_folder(tmp_path, 16000, progress=recorder)
    recorder.check(2 * len(VOCODERS))
    check_pairs(corpus)
    assert {u.attack for u in corpus.utterances} == {"-", *(v.name for v in VOCODERS)}
    assert corpus.notes == ("6 of 12 files resampled from 22050 Hz",)


def test_loud_recordings_are_turned_down_together_with_their_copy(tmp_path):
    square = np.sign(np.sin(np.arange(8000) * 0.05))
    soundfile.write(tmp_path / "loud.wav", square, 16000)
    corpus = from_speech_folder(tmp_path, 16000)
    check_pairs(corpus)
    assert max(float(u.waveform.abs().max()) for u in corpus.utterances) <= 0.991


def test_short_and_silent_files_are_left_out_with_a_note(tmp_path):
    write_noise(tmp_path / "a_1.wav")
    write_noise(tmp_path / "a_2.wav", seconds=0.29)
    write_noise(tmp_path / "b_1.wav", seed=1)
    soundfile.write(tmp_path / "b_2.wav", np.zeros(8000), 16000)
    corpus = from_speech_folder(tmp_path, 16000)
    assert [u.name for u in corpus.utterances if u.label == BONA_FIDE] == ["a_1", "b_1"]
    assert corpus.notes == (
        "1 of 4 files left out: shorter than 0.3 s",
        "1 of 4 files left out: silent",
    )
    limited = from_speech_folder(tmp_path, 16000, limit=1)
    assert limited.notes[0] == f"1 of the 4 files in {tmp_path} used"


def test_folders_without_usable_speech(tmp_path):
    with pytest.raises(InputError, match=r"contains no \.wav or \.flac file"):
        from_speech_folder(tmp_path, 16000)
    write_noise(tmp_path / "a.wav", seconds=0.1)
    with pytest.raises(InputError, match=r"none of 1 files contains 0\.3 s"):
        from_speech_folder(tmp_path, 16000)
    write_noise(tmp_path / "a.flac")
    with pytest.raises(InputError, match=r"a\.flac and .*a\.wav: two files with the same name"):
        from_speech_folder(tmp_path, 16000)
    with pytest.raises(InputError, match="limit: expected at least 1 file, got 0"):
        from_speech_folder(tmp_path, 16000, limit=0)
    with pytest.raises(InputError, match="no such folder"):
        from_speech_folder(tmp_path / "nowhere", 16000)


# Split


def utterances_of(*groups):
    """Groups are (speaker, label, number of utterances)."""
    return [
        Utterance(f"{speaker}{label}{i}", speaker, "-", label, torch.zeros(1))
        for speaker, label, number in groups
        for i in range(number)
    ]


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize(
    ("groups", "notes"),
    [
        ([("A", 1, 3), ("B", 1, 1), ("C", 0, 2), ("D", 0, 5)], 0),
        ([(s, label, 2) for s in "ABC" for label in (0, 1)], 0),
        ([("A", 1, 2), ("A", 0, 2), ("B", 1, 2), ("C", 0, 2)], 0),
        ([("A", 1, 2), ("A", 0, 2), ("B", 1, 2), ("C", 1, 2), ("D", 0, 1)], 0),
        ([("A", 1, 4), ("C", 0, 2), ("D", 0, 2)], 1),
        ([("A", 1, 4), ("C", 0, 4)], 2),
        ([("A", 1, 2), ("A", 0, 2)], 1),
        ([("A", 1, 1), ("A", 0, 3), ("B", 1, 1)], 1),
    ],
)
def test_a_split_keeps_speakers_apart_and_both_classes_in_both_parts(groups, notes, fraction):
    utterances = utterances_of(*groups)
    for seed in range(5):
        split = split_by_speaker(utterances, fraction, seed)
        check_split(utterances, split)
        assert len(split.notes) == notes


def test_a_split_meets_the_fraction_and_follows_the_seed():
    utterances = utterances_of(*((f"S{i}", label, 2) for i in range(20) for label in (0, 1)))
    one = split_by_speaker(utterances, 0.25, seed=0)
    assert len(one.held_out) == 20
    again = split_by_speaker(utterances, 0.25, seed=0)
    assert [u.name for u in one.held_out] == [u.name for u in again.held_out]
    other = split_by_speaker(utterances, 0.25, seed=1)
    assert {u.speaker for u in one.held_out} != {u.speaker for u in other.held_out}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_fractions_that_split_nothing(fraction):
    with pytest.raises(InputError, match="held-out fraction: expected between 0 and 1"):
        split_by_speaker(utterances_of(("A", 1, 2), ("B", 0, 2)), fraction, 0)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([("A", 1, 2), ("B", 0, 1)], "1 spoofed utterance: at least 2 are needed"),
        ([("B", 0, 4)], "0 bona fide utterances: at least 2"),
    ],
)
def test_a_class_that_cannot_be_in_both_parts(groups, message):
    with pytest.raises(InputError, match=message):
        split_by_speaker(utterances_of(*groups), 0.5, 0)
