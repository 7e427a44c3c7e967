"""The configuration file: what may stand in it (options), how it is read (loading)."""
