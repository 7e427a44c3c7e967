"""Google Cloud Storage: gcsfs finds the credentials, and this package sends the requests."""
