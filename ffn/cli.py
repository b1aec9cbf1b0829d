"""The command line: runs one of `ffn.commands`. Nothing else in the library parses arguments or prints."""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from ffn.commands import budget, calibrate, data, evaluate, extract, info, official, report, reproduce, train

COMMANDS = (info, train, evaluate, calibrate, budget, extract, official, data, report, reproduce)  # as help lists them


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; an error that the user can mend is one line on stderr and exit status 1."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = " ".join(["ffn", *arguments[:1]])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: names of files may be no text
    try:
        options = _parser(settings=arguments[:1] == ["train"]).parse_args(arguments)
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone, and will not read what Python has left to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        print(f"{name}: {' '.join(str(error).splitlines()) or type(error).__name__}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        from ffn.memory import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0]
        print(f"{name}: out of memory; take fewer frames, smaller batches or images ({reason})", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"{name}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _parser(*, settings: bool) -> argparse.ArgumentParser:
    """All commands; the `settings` of training come from its config, and with it torch."""
    parser = argparse.ArgumentParser(prog="ffn", description="Frame Flexible Networks.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    if settings:
        train.add_settings(commands.choices["train"])
    return parser
