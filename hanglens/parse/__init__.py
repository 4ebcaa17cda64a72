"""From the bytes of the evidence to values: one module for each kind of file, `files` tells them apart."""
