"""`assets/results/*.json`: a table of figures over seeds and clips, with what made it; the README's tables are drawn from it.

    {"rows": [{"row", "metric", "unit", "mean", "low", "high", "deviation", "seeds", "clips", "better"}, ...],
     "command": "thunder ...", "date": "2026-01-31", "machine": "...", "toolkit": "...", "inputs": {name: SHA-256}}

A figure that is not defined, such as the deviation of one seed, is null.
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.artifacts.files import check_output
from stages.runtime.atomic_file import whole_or_none
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance, toolkit_version


@dataclass(frozen=True)
class ResultRow:
    """One figure of a table.

    Attributes:
        row: what was measured, such as `mouth2s`; a difference is written `mouth2s − ridge`.
        metric: the column.
        unit: as printed; "1" for shares and correlations.
        mean: over seeds, then over clips.
        low, high: 95 % bootstrap interval over clips of the mean over seeds; NaN where there is none.
        deviation: standard deviation over seeds of the mean over clips; NaN for one seed.
        seeds: how many trainings (or codebooks, for a floor that depends on them) are behind it.
        clips: how many clips.
        better: `less` or `more`; empty where neither is.
    """

    row: str
    metric: str
    unit: str
    mean: float
    low: float
    high: float
    deviation: float
    seeds: int
    clips: int
    better: str = ""


@dataclass(frozen=True)
class Results:
    """What a results file holds; `machine` and `date` say where and when its figures were measured."""

    rows: tuple[ResultRow, ...]
    command: str
    date: str
    machine: str
    inputs: Mapping[str, str]


def write_results(path: Path, rows: Sequence[ResultRow], provenance: Provenance, *, force: bool) -> Results:
    """Writes a results file, whole or not at all.

    Raises:
        ThunderError: the file exists and `force` is not set, or cannot be written.
    """
    check_output(path, force=force)
    results = Results(
        tuple(rows), provenance.command, datetime.now(UTC).date().isoformat(), machine(), dict(provenance.inputs)
    )
    content = {
        "rows": [{key: _plain(value) for key, value in asdict(row).items()} for row in results.rows],
        "command": results.command.encode(errors="backslashreplace").decode(),
        "date": results.date,
        "machine": results.machine,
        "toolkit": toolkit_version(),
        "inputs": results.inputs,
    }
    # A row a line: a change of one figure is a change of one line.
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in content.pop("rows"))
    rest = json.dumps(content, indent=1, ensure_ascii=False)[1:]
    with whole_or_none(path) as partial:
        partial.write_text(f'{{\n "rows": [\n{lines}\n ],{rest}\n', encoding="utf-8")
    return results


def read_results(path: Path) -> Results:
    """Reads a results file.

    Raises:
        ThunderError: no such file, or not of that form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(ResultRow(**{key: _number(key, value) for key, value in row.items()}) for row in content["rows"])
        texts = {key: str(content[key]) for key in ("command", "date", "machine")}
        return Results(rows, **texts, inputs=dict(content["inputs"]))
    except OSError as error:
        raise ThunderError(f"{path}: {error.strerror}; make it with a `make results-...` target") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ThunderError(f"{path}: not a results file ({error!r}); make it again") from error


def machine() -> str:
    """The machine in words: processor family, cores, GPU, and torch's version, which speeds and rounding depend on."""
    import torch

    devices = f"{os.cpu_count()} {platform.machine()} cores"
    if torch.cuda.is_available():
        devices += f", {torch.cuda.get_device_name()}"
    return f"{devices}, {platform.system()}, torch {torch.__version__}"


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    # Six digits are more than any interval is worth, and keep the file readable.
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _number(key: str, value: Any) -> Any:
    return math.nan if value is None and key in ("mean", "low", "high", "deviation") else value
