"""Makes the shipped head: `python -m stages.heads.mannequin --output assets/head.h5`."""

import argparse
from pathlib import Path

from stages.artifacts.files import write_artifact
from stages.artifacts.head_record import write_head
from stages.heads.mannequin import build_mannequin
from stages.heads.mannequin.fill import SEED
from stages.runtime.provenance import Provenance


def main() -> None:
    """Builds the mannequin and writes it, replacing an older one."""
    parser = argparse.ArgumentParser(prog="python -m stages.heads.mannequin", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("assets/head.h5"), help="the file to write")
    output = parser.parse_args().output
    provenance = Provenance(seed=SEED, command=f"python -m stages.heads.mannequin --output {output.name}")
    head = build_mannequin()
    with write_artifact(output, "thunder.head", provenance, force=True) as file:
        write_head(file, head)


if __name__ == "__main__":
    main()
