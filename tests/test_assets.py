"""Every shipped file says where it comes from, under which licence, and is the one described."""

import re
from pathlib import Path

from stages.runtime.provenance import sha256_of_file

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \| (.+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def test_every_asset_is_described_with_its_hash():
    described = {
        name: (origin, licence, digest)
        for name, origin, licence, digest in ROW.findall((ASSETS / "README.md").read_text())
    }
    present = {p.relative_to(ASSETS).as_posix(): p for p in ASSETS.rglob("*") if p.is_file() and p.name != "README.md"}
    assert described.keys() == present.keys()
    for name, path in present.items():
        origin, licence, digest = described[name]
        assert origin.strip()
        assert licence == "Apache-2.0"
        assert sha256_of_file(path) == digest, f"{name} changed: correct its row in assets/README.md"
