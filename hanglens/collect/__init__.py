"""Gather the evidence of a live job within seconds, without harming it, and say exactly what could not be had."""
