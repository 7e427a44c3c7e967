"""Local disks and mounted file systems."""
