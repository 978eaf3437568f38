"""Figures as a LaTeX table for a paper: a row a metric, a column a samples file, and paired differences from the first."""

import math
from pathlib import Path

from stages.artifacts.metrics_file import Evaluation, Measured, MetricRow
from stages.runtime.atomic_file import whole_or_none

# What stands for itself nowhere in LaTeX. Powers of units are written above the line.
_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "²": r"$^2$", "³": r"$^3$", "−": r"$-$",
}  # fmt: skip

_ARROWS = {"less": r" $\downarrow$", "more": r" $\uparrow$"}


def write_metrics_latex(path: Path, evaluation: Evaluation) -> None:
    r"""Writes a `tabular` for the package booktabs, to be taken in with `\input`.

    Comments above it say what the numbers mean: files and their hashes, formulas, regions.

    Raises:
        ThunderError: the disk is full or the folder cannot be written.
    """
    with whole_or_none(path) as partial:
        partial.write_text("\n".join([*_comments(evaluation), *_tabular(evaluation)]) + "\n", encoding="utf-8")


def _comments(evaluation: Evaluation) -> list[str]:
    lines = [
        "% Needs \\usepackage{booktabs}.",
        "% Means over takes, then over clips; in brackets 95 % bootstrap intervals over clips. Arrows: which way is better.",
        f"% Convention: {evaluation.convention}; head {_one_line(evaluation.head)} ({evaluation.fingerprint}).",
        *(f"% {name}: SHA-256 {digest}" for name, digest in evaluation.inputs.items()),
        *(f"% {row.name}: {row.formula}" + _of_region(row) for row in _metrics(evaluation).values()),
    ]
    if len(evaluation.files) > 1:
        lines.append("% Differences are paired, clip by clip; * where their interval does not hold 0.")
    return lines


def _of_region(row: MetricRow) -> str:
    return f", region {row.region} {row.region_hash}" if row.region else ""


def _tabular(evaluation: Evaluation) -> list[str]:
    files, first = evaluation.files, evaluation.files[0].label
    titles = [file.label for file in files] + [f"{file.label} − {first}" for file in files[1:]]
    header = " & ".join(["metric", "unit", "region", "$N$", *map(escape, titles)])
    lines = [f"\\begin{{tabular}}{{lll r {'l' * len(titles)}}}", "\\toprule", header + r" \\", "\\midrule"]
    for name, row in _metrics(evaluation).items():
        cells = [_cell(_row_of(file, name)) for file in files]
        cells += [_cell(_row_of(file, name, difference=True), difference=True) for file in files[1:]]
        about = [
            escape(name) + _ARROWS.get(row.better, ""),
            "" if row.unit == "1" else escape(row.unit),
            escape(row.region),
            _counts(evaluation, name),
        ]
        lines.append(" & ".join([*about, *cells]) + r" \\")
    return [*lines, "\\bottomrule", "\\end{tabular}"]


def _metrics(evaluation: Evaluation) -> dict[str, MetricRow]:
    """Every metric that some file has, with its first row."""
    found: dict[str, MetricRow] = {}
    for file in evaluation.files:
        for row in file.rows:
            found.setdefault(row.name, row)
    return found


def _row_of(file: Measured, name: str, *, difference: bool = False) -> MetricRow | None:
    return next((row for row in (file.differences if difference else file.rows) if row.name == name), None)


def _counts(evaluation: Evaluation, name: str) -> str:
    rows = (_row_of(file, name) for file in evaluation.files)
    counts = sorted({len(row.clip_ids) for row in rows if row is not None})
    return "--".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _cell(row: MetricRow | None, *, difference: bool = False) -> str:
    if row is None:
        return "--"
    if math.isnan(row.low):
        return _number(row.value)
    sure = difference and (row.low > 0 or row.high < 0)
    return f"{_number(row.value)}{'$^*$' if sure else ''} [{_number(row.low)}, {_number(row.high)}]"


def _number(value: float) -> str:
    """Four digits, powers of ten as such."""
    digits, _, exponent = f"{value:.4g}".partition("e")
    if not math.isfinite(value):
        return "--"
    return f"${digits} \\times 10^{{{int(exponent)}}}$" if exponent else f"${digits}$"


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SIGNS.get(sign, sign) for sign in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
