"""The shell: typer and rich live here and nowhere else."""

import os

# torch's threads wait for each other by spinning. Where another program keeps a core busy, that made a training step
# twenty times slower; sleeping instead costs about a tenth on an idle machine. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
