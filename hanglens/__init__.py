"""HangLens explains, after the fact, why a multi-GPU job stopped moving."""

__version__ = "0.1.0"
