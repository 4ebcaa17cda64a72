"""Renderers: each is a pure function of the Diagnosis, and shows the same facts in the same order (`view` chooses them)."""
