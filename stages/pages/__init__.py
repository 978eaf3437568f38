"""Pages of results: one HTML file each, with its charts and pictures inside, that asks no network for anything."""
