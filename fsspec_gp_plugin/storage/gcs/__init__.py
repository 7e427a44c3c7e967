"""Google Cloud Storage: credentials by gcsfs, the requests by connections of our own."""
