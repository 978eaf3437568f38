"""Who of the built-in corpus is kept for testing.

Speakers of one recorded voice differ in tempo, pitch and length of the vocal tract, but the recordings underneath are the
same person's. A split by speaker alone would test on recordings that training has heard, so a person is held out whole.
"""

from stages.runtime.errors import ThunderError

# Engines' voices -> the person whose recordings they were built from; slt and kal are in both engines.
PERSONS: dict[str, str] = {
    "slt": "slt",
    "rms": "rms",
    "awb": "awb",
    "kal16": "kal",
    "cmu_us_slt_arctic_hts": "slt",
    "kal_diphone": "kal",
    "ked_diphone": "ked",
    "lp_diphone": "lp",
    "pc_diphone": "pc",
}
_VALIDATION_EVERY = 10


def splits(cast: list[tuple[str, str, str]], held_out: tuple[str, ...]) -> list[str | None]:
    """The split of every speaker, where that is for this corpus to say.

    Args:
        cast: the speakers' roles, (engine, language, voice), as `voices.casting` lists them; espeak's voice is empty.
        held_out: values of `PERSONS`.

    Returns:
        One a speaker. Held-out persons are `test`, other recorded ones `train`, every tenth of them `val` (whose
        recordings training does hear). None, for `preprocess` to draw by speaker, is everybody of espeak, which has no
        recordings of a person; and everybody where none of the held-out persons speaks or fewer than two others do.

    Raises:
        ThunderError: no such person.
    """
    unknown = sorted(set(held_out) - set(PERSONS.values()))
    if unknown:
        known = ", ".join(sorted(set(PERSONS.values())))
        raise ThunderError(f"--held-out: wanted some of {known}, found {', '.join(unknown)}")
    tested = [k for k, (_, _, voice) in enumerate(cast) if PERSONS.get(voice) in held_out]
    others = [k for k, (_, _, voice) in enumerate(cast) if voice in PERSONS and k not in tested]
    chosen: list[str | None] = [None] * len(cast)
    if not tested or len({PERSONS[cast[k][2]] for k in others}) < 2:
        return chosen
    for k in others:
        chosen[k] = "train"
    for k in others[_VALIDATION_EVERY - 1 :: _VALIDATION_EVERY] or others[-1:]:
        chosen[k] = "val"
    for k in tested:
        chosen[k] = "test"
    return chosen
