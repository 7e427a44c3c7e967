"""S3 and compatible stores. s3fs finds credentials and makes the small requests; the bytes of objects bypass it."""
