"""`doctor`: what a backup needs, tried on this host, at the target, and on many hosts."""
