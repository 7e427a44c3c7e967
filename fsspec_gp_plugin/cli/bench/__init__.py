"""`bench`: the target measured, and settings that would be faster."""
