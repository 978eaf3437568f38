"""Losses on tensors: geometry, mesh-to-speech training, audio consistency."""
