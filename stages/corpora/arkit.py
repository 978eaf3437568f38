"""Recordings with ARKit curves: the layout of the built-in corpus, and the one in which people bring their own.

    corpus/<subject>/<clip>.csv          Live Link Face CSV, any frame rate
                     <clip>.wav          the sound, or any audio or video format

and, optional, what `stages.corpora.sidecars` names.
"""

from functools import partial
from pathlib import Path

from stages.artifacts.head_record import HeadRecord
from stages.corpora.corpus import Corpus, RawClip, Recording
from stages.corpora.sidecars import Pair, complete, find_pairs
from stages.formats.live_link_face import read_live_link_face


def read_arkit(folder: Path, head: HeadRecord) -> Corpus:
    """Lists the recordings of a corpus of ARKit curves.

    Args:
        folder: see the top of this file.
        head: the blendshape head that the curves move.
    """
    pairs, problems = find_pairs(folder, (".csv",))
    recordings = [Recording(pair.id, pair.subject, pair.split, partial(_read_recording, pair)) for pair in pairs]
    return Corpus("arkit", head, None, recordings, problems=problems)


def _read_recording(pair: Pair) -> RawClip:
    return complete(pair, *read_live_link_face(pair.motion))
