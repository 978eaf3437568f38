"""One thin file a subcommand: parse, configure, call the stage, summarise."""
