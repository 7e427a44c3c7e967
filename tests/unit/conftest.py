"""No unit test knows the secrets of another."""

from tests.isolation import known_secrets

__all__ = ["known_secrets"]
