"""What the devices can do, by NVIDIA's data sheets: dense bfloat16, one direction of the link. What a step of a ring
costs however small the message is (`hop_s`) is by the cost model in NCCL's source (low-latency protocol)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator: bytes per second of memory and link, operations per second at best, bytes of memory,
    seconds of a message's least way to a neighbour."""

    bandwidth: float
    peak: float
    link: float
    memory: float
    hop_s: float


NVLINK_S, PCIE_S = 0.6e-6, 1.0e-6


DEVICES: dict[str, Device] = {
    # A100 80GB SXM, NVLink of 600 GB/s both ways
    "a100": Device(bandwidth=2.039e12, peak=312e12, link=300e9, memory=80e9, hop_s=NVLINK_S),
    # H100 SXM and H200 SXM, NVLink of 900 GB/s
    "h100": Device(bandwidth=3.35e12, peak=989e12, link=450e9, memory=80e9, hop_s=NVLINK_S),
    "h200": Device(bandwidth=4.8e12, peak=989e12, link=450e9, memory=141e9, hop_s=NVLINK_S),
    # L40S, PCIe 4.0 x16 of 64 GB/s
    "l40s": Device(bandwidth=0.864e12, peak=362e12, link=32e9, memory=48e9, hop_s=PCIE_S),
}


def several(text: str) -> tuple[str, int] | None:
    """The name and the number of what is written "l40s" or "l40s*8"; None for anything else."""
    name, star, count = text.strip().partition("*")
    if name not in DEVICES or (star and not (count.isdecimal() and int(count) > 0)):
        return None
    return name, int(count or 1)
