"""Where the training data of ``python -m export demo`` comes from.

A protocol with its audio, a folder of speech whose spoofed half is vocoded from it, or a synthetic
corpus that needs no data at all. All three give a :class:`Corpus`.
"""

from export.corpus._types import BONA_FIDE, SPOOF, Corpus, Utterance, audio_files
from export.corpus.protocol import Trial, from_protocol, read_protocol
from export.corpus.speech_folder import from_speech_folder
from export.corpus.split import (
    Parts,
    Split,
    folds_by_speaker,
    split_by_speaker,
    three_parts,
)
from export.corpus.synthetic import synthetic_corpus
from export.corpus.vocoder import VOCODERS, Vocoder, copy_synthesis

__all__ = [
    "BONA_FIDE",
    "SPOOF",
    "VOCODERS",
    "Corpus",
    "Parts",
    "Split",
    "Trial",
    "Utterance",
    "Vocoder",
    "audio_files",
    "copy_synthesis",
    "folds_by_speaker",
    "from_protocol",
    "from_speech_folder",
    "read_protocol",
    "split_by_speaker",
    "synthetic_corpus",
    "three_parts",
]
