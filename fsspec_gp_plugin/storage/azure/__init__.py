"""Azure Blob Storage. adlfs finds the account and the credentials, and this package sends the requests."""
