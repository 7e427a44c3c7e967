"""gpbackup's commands: one function each, called with a context and the arguments, which returns or raises."""
