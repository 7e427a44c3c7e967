"""The encryption of objects: the format age v1 (https://age-encryption.org/v1) with X25519 recipients."""
