"""Takes as they are named on the command line: `0,2` or `0-3`."""

import typer

_MOST_TAKES = 10_000


def take_numbers(text: str) -> tuple[int, ...]:
    """The numbers of "0,2-4", each once, in the order given; none for an empty text, which means all takes.

    Raises:
        typer.BadParameter: anything else.
    """
    numbers: dict[int, None] = {}
    for part in text.split(",") if text else ():
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        digits = (first, last) if dash else (first, first)
        if not all(d.isdecimal() and int(d) < _MOST_TAKES for d in digits) or int(digits[0]) > int(digits[1]):
            raise typer.BadParameter(f"--takes wanted numbers such as 0,2 or 0-3, found {text!r}")
        numbers |= dict.fromkeys(range(int(digits[0]), int(digits[1]) + 1))
    return tuple(numbers)
