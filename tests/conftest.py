"""What all tests share."""

import os

# As the command line does, before torch is loaded: see thunder_cli/__init__.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
