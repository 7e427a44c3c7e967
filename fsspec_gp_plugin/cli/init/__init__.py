"""`init`: a configuration, made of flags and of answers."""
