"""Tries to convert every model of timm: `python tests/families.py` writes ffn/families.csv, in a quarter of an hour.

Nothing is computed: the networks live on the meta device. What is listed as convertible is proven family by family, on
numbers, in test_families.py.
"""

import csv
import sys
import warnings
from pathlib import Path

import timm
import torch
from tqdm import tqdm

import ffn
from ffn.families import TABLE, family

COLUMNS = ("family", "model", "params", "reason")


def verdict(model: str) -> tuple[int, str]:
    """Parameters of the timm model with one branch, and why it cannot be converted, "" when it can."""
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):
        try:
            flexible = ffn.create_model(model, (2, 4), num_classes=7)
        except ValueError as error:
            return 0, str(error)
        except Exception as error:  # timm itself cannot build it
            return 0, f"timm cannot build it here: {type(error).__name__}"
        return sum(p.numel() for p in flexible.parameters()), runs(flexible)


def runs(flexible: ffn.FrameFlexible) -> str:
    """Why a converted network cannot be run, "" when it can."""
    _, height, width = flexible.network.backbone.pretrained_cfg["input_size"]
    try:
        with torch.no_grad():
            flexible.eval()(torch.empty(1, 2, 3, height, width, device="meta"))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return ""


def rows(models: list[str]) -> list[dict[str, str]]:
    """One row per refused model, and one per family for the smallest that converts."""
    refused, smallest = [], {}
    for model in tqdm(models):
        params, reason = verdict(model)
        row = {"family": family(model), "model": model, "params": str(params), "reason": reason}
        if reason:
            refused.append(row)
        elif family(model) not in smallest or params < int(smallest[family(model)]["params"]):
            smallest[family(model)] = row
    return sorted([*smallest.values(), *refused], key=lambda row: (row["family"], row["reason"] != "", row["model"]))


if __name__ == "__main__":
    found = rows(sys.argv[1:] or timm.list_models())
    with Path(TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
