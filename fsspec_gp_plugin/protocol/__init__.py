"""gpbackup's commands, one function each: (context, arguments) → exit quietly or raise."""
