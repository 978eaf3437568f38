"""Waveforms in and out, log-mel spectrograms, speech units."""
