"""The notebooks: mostly prose, clean in git, and every one of them runs, with its constants made smaller."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

FOLDER = Path(__file__).parents[1] / "notebooks"
SMALLER = {  # every number of a notebook's parameters cell, for the tests
    "1-the-deviation": {"CLIPS_PER_CLASS": 3, "TEST_CLIPS": 1, "EPOCHS": 1},
    "2-the-normalisation-shift": {"TEST_CLIPS": 2, "RECALIBRATION_CLIPS": 2},
    "3-one-network": {"TEST_CLIPS": 1},
    "4-temporal-distillation": {"CLIPS_PER_CLASS": 2, "TEST_CLIPS": 1, "EPOCHS": 1},
    "5-any-frame": {"TEST_CLIPS": 1, "VALIDATION_CLIPS": 1},
    "6-two-d-three-d-transformer": {"CLIPS_PER_CLASS": 1, "LONGEST": 8},
    "7-your-own-backbone": {"CLIPS_PER_CLASS": 2, "EPOCHS": 1},
    "8-what-it-costs": {"PASSES": 5, "SIDE": 64, "BATCH": 2},
}
WRONG = {  # an answer to the exercise, in Python
    "1-the-deviation": "16",
    "2-the-normalisation-shift": "tsm_4",
    "3-one-network": "weight",
    "4-temporal-distillation": "q - p",
    "5-any-frame": "0.5",
    "6-two-d-three-d-transformer": "0",
    "7-your-own-backbone": "answer[1:]",
    "8-what-it-costs": '("TSM trained at 16 frames", 16)',
}
SECONDS = 90

paths = pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def sources(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def constants(source: str) -> dict[str, object]:
    """The values that a cell of plain assignments gives to names."""
    return {statement.targets[0].id: ast.literal_eval(statement.value) for statement in ast.parse(source).body}


def shrink(notebook: nbformat.NotebookNode, smaller: dict[str, int]) -> None:
    """Writes smaller numbers and `SHRUNK = True` into the one cell tagged "parameters"; refuses to miss one."""
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    before = constants(cell.source)
    assert before.pop("SHRUNK") is False
    assert before.keys() == smaller.keys()
    assert all(smaller[name] < value for name, value in before.items())
    cell.source = "\n".join(f"{name} = {value}" for name, value in {**smaller, "SHRUNK": True}.items())


def answer_wrongly(notebook: nbformat.NotebookNode, wrong: str) -> None:
    """Checks the exercise once more at the end, with a wrong answer in the place of the reader's."""
    (start,) = [i for i, cell in enumerate(notebook.cells) if "## Exercise" in cell.source]
    exercise = [cell.source for cell in notebook.cells[start:] if cell.cell_type == "code"]
    (place,) = [source for source in exercise if source.endswith("mine = None")]
    check = next(source for source in exercise if "assert" in source)
    metadata = {"tags": ["raises-exception"]}
    notebook.cells.append(new_code_cell(f"{place.replace('None', wrong)}\n{check}", metadata=metadata))


def shows_a_figure(cell: nbformat.NotebookNode) -> bool:
    return any("plotly" in kind for output in cell.get("outputs", ()) for kind in output.get("data", ()))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the few videos that the notebooks share."""
    return tmp_path_factory.mktemp("cache")


def test_numbered_without_gaps():
    names = [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
    assert [re.fullmatch(r"(\d)-[a-z-]+", name)[1] for name in names] == [str(i + 1) for i in range(len(names))]
    assert names == list(SMALLER)


@paths
def test_valid_and_stripped(path):
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)


@paths
def test_mostly_prose(path):
    notebook = read(path)
    prose, code = sources(notebook, "markdown"), sources(notebook, "code")
    assert prose[0].startswith("# ")
    assert "?**" in prose[0], "a notebook opens with its question"
    assert "**Time:**" in prose[0]
    assert any(re.search(r"\bpredict\b", text, re.IGNORECASE) for text in prose)
    assert any("## Exercise" in text for text in prose)
    assert len(" ".join(prose).split()) >= 300
    assert "\n".join(code).count("def ") <= 3
    assert max(len(source.splitlines()) for source in code) <= 7


@paths
def test_no_network_or_absolute_path(path):
    code = "\n".join(sources(read(path), "code"))
    assert not re.search(r"https?://|!pip|%pip|[\"']/(home|root|tmp)", code)


@pytest.mark.notebooks
@paths
def test_runs(path, cache, monkeypatch):
    monkeypatch.setenv("FFN_CACHE", str(cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(path)
    shrink(notebook, SMALLER[path.stem])
    answer_wrongly(notebook, WRONG[path.stem])
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(FOLDER)}}).execute()
    described = [after.source for cell, after in pairwise(notebook.cells) if shows_a_figure(cell)]
    descriptions = [text for text in sources(notebook, "markdown") if "*The figure: " in text]
    assert described == descriptions != [], "every figure is described in the prose that follows it"
    assert all(text.startswith("*The figure: ") for text in descriptions)
    refused = [output.ename for output in notebook.cells[-1].outputs if output.output_type == "error"]
    assert refused == ["AssertionError"], "the exercise takes a wrong answer"
