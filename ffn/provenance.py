"""Where a number comes from: the state of the code and the machine."""

import os
import platform
import subprocess
from pathlib import Path

import torch


def machine(device: str | torch.device = "cpu") -> str:
    """The processor or GPU that computes."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, platform.processor() or platform.machine())}, {os.cpu_count()} cores"


def commit(root: Path) -> str:
    """The commit of the code in `root`, with a + where the library has uncommitted changes; unknown without git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "ffn") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
