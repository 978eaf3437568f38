"""The stages of the toolkit and the domain folders they are built from; see README.md for the map."""
