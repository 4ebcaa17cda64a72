"""A program of its own that prints what each GPU does, again and again: NVML can hang, and then only this process does.

    python -m hanglens.collect.nvml READINGS PERIOD

Prints rows as `nvidia-smi --query-gpu=… --format=csv` does.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone

HEADER = "timestamp, index, name, utilization.gpu [%], power.draw [W], power.limit [W], memory.used [MiB], memory.total [MiB]"


def main(readings: int, period: float) -> None:
    """Print the header, and `readings` times a row for each GPU, `period` seconds apart.

    Raises:
        pynvml.NVMLError: the driver gives no answer.
    """
    import pynvml

    pynvml.nvmlInit()
    sys.stdout.write(HEADER + "\n")
    for number in range(readings):
        if number:
            time.sleep(period)
        for index in range(pynvml.nvmlDeviceGetCount()):
            sys.stdout.write(_row(index, datetime.now(timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]) + "\n")
        sys.stdout.flush()


def _row(index: int, at: str) -> str:
    import pynvml

    gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
    name = pynvml.nvmlDeviceGetName(gpu)
    cells = (
        at, str(index), name if isinstance(name, str) else name.decode(),
        f"{pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu} %",
        f"{pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000:.2f} W", f"{pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000:.2f} W",
        f"{memory.used >> 20} MiB", f"{memory.total >> 20} MiB",
    )  # fmt: skip
    return ", ".join(cells)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
