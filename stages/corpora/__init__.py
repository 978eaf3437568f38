"""Corpora: one reader a layout, and the synthesiser of the built-in one."""
