"""`python -m tests.tables`: the README's tables, made again from `assets/results/*.json`.

The table of `m2s.json` stands in the README between `<!-- m2s:begin -->` and `<!-- m2s:end -->`; likewise for any other file.
A row is a row of the table, a metric a column. Cells are means over seeds, ± their deviation over seeds; where two rows are
subtracted, the 95 % interval over clips says whether they differ.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from stages.artifacts.results_file import ResultRow, Results, read_results

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "assets" / "results"

_OF_ANIMATORS = {
    "lve-l2": "LVE, mm",
    "lve": "LVE, mm²",
    "l-pcc": "L-PCC",
    "l-ccc": "L-CCC",
    "dtw": "DTW, mm",
    "s-div-upper": "S-DIV upper, mm",
    "s-div-lower": "S-DIV lower, mm",
    "fdd": "FDD, mm²",
    "jitter": "jitter, m/s³",
    "closure-rate": "closed on p b m",
    "m2s-mel": "M2S mel, sd",
    "m2s-units": "M2S units",
    "m2s-cer": "CER",
}
_OF_GUIDED = {
    "lve": "LVE, mm²",
    "fdd": "FDD, mm²",
    "cer": "CER",
    "ver": "VER",
    "l-pcc": "L-PCC",
    "closure-rate": "closed on p b m",
    "m2s-mel": "M2S mel, sd",
    "speed": "speed, × real time",
}
# File -> metric -> heading, for tables that show some of their metrics, or show them under another name.
COLUMNS: dict[str, dict[str, str]] = {
    "m2s": {
        "mel": "mel L1, sd",
        "mel-db": "dB",
        "convergence": "spectral convergence",
        "units": "unit accuracy",
        "units-sounding": "without silence",
        "stoi": "STOI",
        "estoi": "ESTOI",
        "cer": "CER",
        "phones": "phones right",
        "viseme-mistakes": "mistakes within the viseme",
        "viseme-mistakes-chance": "by chance",
    },
    "thunder": _OF_ANIMATORS,
    "thunder_weights": _OF_ANIMATORS,
    "thunder_why": _OF_ANIMATORS,
    "lipreader": {"cer": "CER", "cer-en": "English", "cer-de": "German", "cer-fr": "French"},
    "avguidance": _OF_GUIDED,
    "avguidance_further": _OF_GUIDED,
}


# As in a table for a paper.
ARROWS = {"less": " ↓", "more": " ↑"}


def main() -> None:
    """Rewrites what stands between the marks of every results file."""
    text = README.read_text(encoding="utf-8")
    for path in sorted(RESULTS.glob("*.json")):
        text = replaced(text, path.stem, table_of(read_results(path), COLUMNS.get(path.stem)))
    README.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, table: str) -> str:
    """The text with the table between the marks of `name`.

    Raises:
        ValueError: the text has no such marks.
    """
    found = _marked(name).subn(lambda match: f"{match[1]}\n{table}\n{match[3]}", text)
    if found[1] != 1:
        raise ValueError(f"wanted one <!-- {name}:begin --> ... <!-- {name}:end -->, found {found[1]}")
    return found[0]


def standing(text: str, name: str) -> str | None:
    """What stands between the marks of `name`, if they are there."""
    match = _marked(name).search(text)
    return None if match is None else match[2].strip("\n")


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(name)}:begin -->)(.*?)(<!-- {re.escape(name)}:end -->)", re.DOTALL)


def table_of(results: Results, columns: dict[str, str] | None = None) -> str:
    """A Markdown table, and below it how many seeds and clips, when and on what it was measured; arrows say what is better."""
    cells = {(row.row, row.metric): row for row in results.rows}
    metrics = list(columns or dict.fromkeys(row.metric for row in results.rows))
    metrics = [metric for metric in metrics if any(metric == found for _, found in cells)]
    names = list(dict.fromkeys(row.row for row in results.rows))
    arrows = {row.metric: ARROWS.get(row.better, "") for row in results.rows}
    titles = [(columns or {}).get(metric, metric) + arrows[metric] for metric in metrics]
    lines = [["", *titles], ["---"] * (1 + len(metrics))]
    for name in names:
        lines.append([name, *(cell(cells.get((name, metric))) for metric in metrics)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_below(results)}"


def cell(row: ResultRow | None) -> str:
    """One figure: `.512 ± .006`, or for a difference `+.310 (.302 to .318)`."""
    if row is None:
        return ""
    if " − " in row.row:
        interval = "" if math.isnan(row.low) else f" ({_short(row.low, sign=True)} to {_short(row.high, sign=True)})"
        return _short(row.mean, sign=True) + interval
    return _short(row.mean) + ("" if math.isnan(row.deviation) else f" ± {_short(row.deviation)}")


def _short(value: float, *, sign: bool = False) -> str:
    """Three decimals below 1, else fewer, as many digits as such figures are good for; no zero before the point."""
    size = abs(value)
    text = f"{size:.3f}" if size < 1 else f"{size:.2f}" if size < 10 else f"{size:.1f}"
    text = text.removeprefix("0") if size < 1 and not text.startswith("1") else text
    minus = "−" if value < 0 and float(text) != 0 else "+" if sign else ""
    return minus + text


def _below(results: Results) -> str:
    def numbers(values: Sequence[int]) -> str:
        return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"

    seeds = sorted({row.seeds for row in results.rows})
    clips = sorted({row.clips for row in results.rows})
    return (
        f"*Means over seeds ({numbers(seeds)} of them, ± their standard deviation) and over clips ({numbers(clips)}); "
        f"differences with 95 % intervals, paired over clips. {results.date}, {results.machine}.*"
    )


if __name__ == "__main__":
    main()
