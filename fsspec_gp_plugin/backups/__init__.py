"""A backup as a whole at its target: what is there, whether the target is fit for it, and its deletion."""
