"""Ray: the local classes hosted by actors. Without this package, single-process training works."""
