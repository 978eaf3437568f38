"""How texts are pronounced: phones of known words, and languages."""

from stages.corpora.synthesis.pronunciation import pronounce
from stages.metrics.visemes import viseme_of


def test_words_have_their_phones_and_empty_texts_none() -> None:
    just, must, nothing, sentence = pronounce(["just", "must", "", "The bees, above!"])
    assert just == ("JH", "AH1", "S", "T")
    assert must == ("M", *just[1:])
    assert nothing == ()
    assert sentence == ("DH", "AH0", "B", "IY1", "Z", "AH0", "B", "AH1", "V")


def test_a_text_says_the_same_whatever_was_said_before() -> None:
    alone = pronounce(["a thought"])
    assert pronounce(["read this", "a thought"])[1:] == alone
    assert pronounce(["a thought"], "unknown") == alone


def test_bat_and_mat_look_alike_in_every_language() -> None:
    for language in ("en", "en-gb", "de", "fr", "zh"):
        (b,), (m,) = ({tuple(map(viseme_of, phones))} for phones in pronounce(["ba", "ma"], language))
        assert b[0] == m[0] == "p", language


def test_what_the_library_does_not_know_is_read_as_english() -> None:
    assert pronounce(["hello"], "vocaset") == pronounce(["hello"], "unknown") == pronounce(["hello"], "en-us")
    assert pronounce(["bonjour"], "fr-ca") == pronounce(["bonjour"], "fr") != pronounce(["bonjour"])
