"""S3 and what speaks like it. s3fs finds credentials, signs, and makes the small requests; bytes go below it."""
