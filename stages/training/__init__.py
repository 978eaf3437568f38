"""What all trainings share: clips in memory, windows, augmentation, the loop."""
