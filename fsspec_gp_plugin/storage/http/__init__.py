"""HTTP over blocking sockets, for the bytes of parts and ranges: it knows of no provider."""
