"""The shell: typer and rich live here and nowhere else."""
