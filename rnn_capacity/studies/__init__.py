"""A study: what defines it, how its trials are asked for and kept, how it is read again, and how far it is."""
