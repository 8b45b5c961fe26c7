"""Bench: rates, latencies and memory of a mesh on this machine; ratios within one run, absolute figures beside."""

from services.demo.bench.measure import run_bench

__all__ = ["run_bench"]
