"""Which phones look alike: ARPAbet phones in the viseme classes of Amazon Polly, and in those of Oculus.

Source: Amazon Polly developer guide, phoneme and viseme tables of US English: fifteen classes that a mouth can show, and
silence. Phones of one class cannot be told apart by what is seen.
Those of Oculus are the fifteen of Meta's "Viseme Reference" (Oculus Lipsync) with the phones listed there; phones that are not
listed go with those of like place and opening.
"""

SILENCE = "SIL"
# The class of the phones that are not said unless the lips meet.
LIPS_CLOSED = "p"

# Class -> its phones, in the order in which tables and pictures show them: from the lips backward, then vowels from open
# to close. A stressed AH is ʌ and ER is ɜ; unstressed both are the class "@".
_CLASSES: dict[str, str] = {
    "sil": "SIL",
    "p": "P B M",
    "f": "F V",
    "T": "TH DH",
    "t": "T D N",
    "l": "L",
    "s": "S Z",
    "S": "SH ZH CH JH",
    "r": "R",
    "k": "K G NG HH",
    "i": "Y IY IH",
    "e": "EY",
    "E": "EH AH ER",
    "@": "AH0 ER0",
    "a": "AA AE AY AW",
    "O": "AO OY",
    "o": "OW",
    "u": "UH UW W",
}
_OCULUS: dict[str, str] = {
    "sil": "SIL",
    "PP": "P B M",
    "FF": "F V",
    "TH": "TH DH",
    "DD": "T D",
    "kk": "K G NG HH",
    "CH": "CH JH SH ZH",
    "SS": "S Z",
    "nn": "N L",
    "RR": "R ER ER0",
    "aa": "AA AE AH AH0 AY AW",
    "E": "EH EY",
    "ih": "IH IY Y",
    "oh": "AO OW OY",
    "ou": "UH UW W",
}


def _of_phone(classes: dict[str, str]) -> dict[str, str]:
    return {phone: name for name, phones in classes.items() for phone in phones.split()}


_OF_PHONE, _OCULUS_OF_PHONE = _of_phone(_CLASSES), _of_phone(_OCULUS)

VISEMES = tuple(_CLASSES)
OCULUS_VISEMES = tuple(_OCULUS)
# Every phone without its stress, viseme by viseme; silence first.
PHONES = tuple(phone for phones in _CLASSES.values() for phone in phones.split() if not phone.endswith("0"))


def without_stress(phone: str) -> str:
    """`AH0` -> `AH`."""
    return phone.rstrip("012")


def viseme_of(phone: str) -> str | None:
    """The class of an ARPAbet phone, with its stress (0, 1, 2) or without; None for what is not a phone of the table."""
    return _OF_PHONE.get(phone) or _OF_PHONE.get(without_stress(phone))


def oculus_viseme_of(phone: str) -> str | None:
    """The viseme of Oculus of an ARPAbet phone, as `viseme_of` is Polly's."""
    return _OCULUS_OF_PHONE.get(phone) or _OCULUS_OF_PHONE.get(without_stress(phone))
