"""What the devices can do, by NVIDIA's data sheets: dense bfloat16, one direction of the link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator: bytes per second of memory and link, operations per second at best, bytes of memory."""

    bandwidth: float
    peak: float
    link: float
    memory: float


DEVICES: dict[str, Device] = {
    "a100": Device(bandwidth=2.039e12, peak=312e12, link=300e9, memory=80e9),  # A100 80GB SXM, NVLink 600 GB/s
    "h100": Device(bandwidth=3.35e12, peak=989e12, link=450e9, memory=80e9),  # H100 SXM, NVLink 900 GB/s
    "h200": Device(bandwidth=4.8e12, peak=989e12, link=450e9, memory=141e9),  # H200 SXM, NVLink 900 GB/s
    "l40s": Device(bandwidth=0.864e12, peak=362e12, link=32e9, memory=48e9),  # L40S, PCIe 4.0 x16: 64 GB/s both ways
}
