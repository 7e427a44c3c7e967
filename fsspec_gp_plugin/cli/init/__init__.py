"""`init`: creates a configuration file from options and answers."""
