"""Packaged data, read and checked: rules, facts, start-up stages, stack frames. The one place that knows YAML."""
