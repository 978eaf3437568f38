"""The embedded head: a mannequin of our own making, sculpted and rigged by the code in this package.

`surface` is the sculpture; `mouth`, `eyes`, `ears`, `brows`, `hair`, `fill` and `dentition` lay a mesh over it and `mesh`
welds them; `jaw`, `mouth_curves`, `eye_curves` and `brow_curves` are the 52 ARKit curves, spread over the skin by `deform`
from `places`; `colours` paints it, `build` makes the record.

`python -m stages.heads.mannequin --output assets/head.h5` makes the shipped file again. Needs scipy.
"""

from stages.heads.mannequin.build import build_mannequin

__all__ = ["build_mannequin"]
