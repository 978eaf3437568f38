"""Networks, one a file; each is rebuilt from the few numbers of its configuration."""
