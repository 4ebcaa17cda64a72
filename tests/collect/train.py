"""A small job for the live tests: four gloo ranks on loopback, one of which does as `FAULT` says. It ends by itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

LIFETIME = 300  # seconds


def load_batch(path: str) -> bytes:
    """Wait for data that never comes."""
    return Path(path).read_bytes()


def compute_loss(lock: threading.Lock) -> int:
    """Wait for a lock that nobody gives back."""
    with lock:
        return 1


def next_request(listener: socket.socket) -> socket.socket:
    """Wait for a client."""
    return listener.accept()[0]


def train(rank: int, world_size: int) -> None:
    """Some steps, then the fault on one rank, while the others go on to the next collective."""
    import torch
    import torch.distributed as dist

    values = torch.ones(1024)
    for _ in range(5):
        dist.all_reduce(values)
    print(f"[rank{rank}] warm-up steps done", flush=True)  # noqa: T201  the tests wait for this line
    fault, odd = os.environ["FAULT"], rank == world_size - 2
    if fault == "healthy":
        while True:
            dist.all_reduce(values)
            if odd:
                time.sleep(0.02)  # the others wait for the slowest, as they do in most jobs
    if fault == "idle":
        serve(rank)
    if fault == "read" and odd:
        load_batch(os.environ["BATCHES"])
    if fault == "lock" and odd:
        lock = threading.Lock()
        lock.acquire()
        compute_loss(lock)
    if fault == "stopped" and odd:
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "killed" and odd:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_reduce(values)
    dist.barrier()


def serve(rank: int) -> None:
    """A server between two requests: rank 0 waits for the next one, and the others to be handed it."""
    import torch.distributed as dist

    listener = socket.create_server(("127.0.0.1", 0)) if rank == 0 else None
    request = [None]
    if listener:
        next_request(listener)
    dist.broadcast_object_list(request, src=0)


def spawned(index: int, world_size: int, port: str) -> None:
    """What mp.spawn starts."""
    import torch.distributed as dist

    signal.alarm(LIFETIME)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=index, world_size=world_size)
    train(index, world_size)


def main() -> None:
    """A rank of torchrun, or the parent of four."""
    signal.alarm(LIFETIME)
    if "RANK" in os.environ:
        import torch.distributed as dist

        dist.init_process_group("gloo")
        train(dist.get_rank(), dist.get_world_size())
    else:
        import torch.multiprocessing as mp

        mp.spawn(spawned, args=(4, os.environ["PORT"]), nprocs=4)


if __name__ == "__main__":
    main()
