"""`deploy`: a bundle, installed on all hosts."""
