"""FTP, plain or with TLS."""
