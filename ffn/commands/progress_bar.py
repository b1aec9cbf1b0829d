"""How far a command is, on stderr."""

from tqdm import tqdm


class ProgressBar:
    """A tqdm bar that starts anew with other work; the last one stays."""

    def __init__(self, unit: str = "it", line: int = 0) -> None:
        self.bar = tqdm(disable=True)
        self.unit, self.line = unit, line  # below those of other processes

    def __call__(self, name: str, done: int, total: int) -> None:
        if self.bar.disable or total != self.bar.total or done < self.bar.n:
            self.bar.leave = False
            self.bar.close()
            self.bar = tqdm(total=total, initial=done, desc=name, unit=self.unit, position=self.line)
        self.bar.set_description(name, refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
