"""`ffn info`: what a checkpoint is, without torch."""

import argparse
from dataclasses import astuple
from typing import TYPE_CHECKING

from ffn.commands import Commands, path
from ffn.commands.formatting import flat, table

if TYPE_CHECKING:
    from ffn.divergence import Divergence


def add(commands: Commands) -> None:
    parser = commands.add_parser("info", help="what a checkpoint is: card, cost, divergence between branches; no data")
    parser.add_argument("checkpoint", type=path)
    parser.add_argument("--layers", type=int, default=5, help="how many layers to list, the most divergent first")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.card import branch_divergences, read_card

    card = read_card(options.checkpoint)
    for key, value in card.items():
        print(f"{key:<14} {flat(value)}")
    rows = [[t, f"{gmacs:.4g}", f"{2 * gmacs:.4g}"] for t, gmacs in card.get("gmacs", {}).items()]
    print("\n" + table(["frames", "GMACs", "GFLOPs"], rows))
    *shorter, longest = card["frames"]
    for branch in shorter:
        found = branch_divergences(options.checkpoint, branch, longest)
        _print_divergences(found, options.layers, f"the {branch}-frame branch against the {longest}-frame branch")


def _print_divergences(found: "dict[str, Divergence]", layers: int, title: str) -> None:
    if not found:
        print(f"\nnorms of {title}: none keeps running statistics, so there is nothing to compare without data")
        return
    worst = sorted(found, key=lambda layer: -found[layer].mean_shift)[:layers]
    mean = sum(d.mean_shift for d in found.values()) / len(found)
    print(f"\nnorms of {title}: {len(found)} layers, {mean:.3f} sigma apart in the mean; the furthest:")
    rows = [[layer, *(f"{number:.3f}" for number in astuple(found[layer]))] for layer in worst]
    measures = ["mean shift (sigma)", "|log variance ratio|", "symmetric KL (nats)", "Wasserstein (sigma)"]
    print(table(["layer", *measures], rows))
