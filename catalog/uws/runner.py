"""Workers: threads that claim queued jobs, do the work and keep the leases (any number of processes)."""

from __future__ import annotations

__all__ = ["Runner"]


class Runner:
    """Does queued jobs in threads of its own."""

    def start(self) -> None:
        """Start the threads; call it after the last fork. Safe to repeat."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cancel what runs, hand the jobs back for others to take, and end the threads. Safe to repeat."""
        raise NotImplementedError

    def wake(self) -> None:
        """Look for queued jobs now, instead of at the next look."""
        raise NotImplementedError
