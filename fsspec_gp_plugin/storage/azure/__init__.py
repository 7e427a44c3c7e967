"""Azure Blob Storage. adlfs says which account and which credentials; the requests are made here."""
