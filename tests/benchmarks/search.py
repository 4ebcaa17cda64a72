"""How long ordinary logs take, and what is found in them: `python -m tests.benchmarks.search [MB …]` prints a table."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from hanglens.knowledge.load import load_rules
from hanglens.pipeline import diagnose
from tests.benchmarks.logs import healthy_lines, write_log


def main() -> None:
    """One row for each size: seconds, MB/s, the most memory so far, findings that are more than observations."""
    sizes = [int(size) for size in sys.argv[1:]] or [20, 200]
    pack = load_rules()
    print(f"{'MB':>6} {'s':>7} {'MB/s':>6} {'MB RAM':>7}  causes")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "job.log"
            write_log(path, healthy_lines(size), size * 1_000_000)
            begin = time.perf_counter()
            diagnosis = diagnose([str(path)], pack)
            seconds = time.perf_counter() - begin
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        causes = [finding.rule for finding in diagnosis.findings if finding.role != "observation"]
        print(f"{size:6} {seconds:7.1f} {size / seconds:6.1f} {memory:7.0f}  {', '.join(causes) or 'none'}")


if __name__ == "__main__":
    main()
