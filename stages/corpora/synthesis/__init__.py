"""A corpus of our own making: sentences, voices with exact phone times, articulation and the rest of the face."""
