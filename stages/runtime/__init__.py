"""What every stage needs and no stage owns: errors, configuration, progress, provenance, devices, shipped assets."""
