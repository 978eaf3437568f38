"""File formats of other programs, read by corpora and written by exports."""
