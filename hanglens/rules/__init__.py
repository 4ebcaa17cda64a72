"""The rule engine: conditions, findings, the root cause; and what checks rule files."""
