"""The house rules: who may import whom, and which line belongs in which room."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("ffn/**/*.py"), *ROOT.glob("workbench/**/*.py"), *ROOT.glob("app.py")])
COMMAND_LINE = ("ffn.cli", "ffn.commands")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def room(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def run_time(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, without what is there for type checkers alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from run_time(child)


def imports(path: Path, *, at_once: bool = False) -> set[str]:
    """Dotted names that a file imports, wherever in it; `at_once`, when it is itself imported."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_once else run_time(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def imports_any(path: Path, *packages: str) -> set[str]:
    return {name for name in imports(path) if any(f"{name}.".startswith(f"{package}.") for package in packages)}


def in_rooms(*prefixes: str) -> list[Path]:
    return [path for path in FILES if any(f"{room(path)}.".startswith(f"{prefix}.") for prefix in prefixes)]


def calls(path: Path) -> set[str]:
    """Names of the functions and methods that a file calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {f.id if isinstance(f, ast.Name) else f.attr for f in functions if isinstance(f, ast.Name | ast.Attribute)}


def test_the_walk_sees_what_it_should(tmp_path):
    assert {"ffn", "ffn.model", "ffn.cli", "ffn.commands.report"} <= {room(path) for path in FILES}
    lines = ["import pandas as pd", "if TYPE_CHECKING:", " import plotly", "def f():", " from torch import nn"]
    (tmp_path / "room.py").write_text("\n".join([*lines, " x.backward(print)"]))
    assert imports(tmp_path / "room.py") == {"pandas", "torch", "torch.nn"}
    assert imports(tmp_path / "room.py", at_once=True) == {"pandas"}
    assert calls(tmp_path / "room.py") == {"backward"}
    assert imports_any(tmp_path / "room.py", "torch", "pan") == {"torch", "torch.nn"}


@pytest.mark.parametrize("path", in_rooms("ffn"), ids=room)
def test_the_library_knows_no_workbench(path):
    allowed = {"workbench.report"} if room(path) == "ffn.commands.report" else set()
    found = imports_any(path, "pandas", "plotly", "streamlit", "workbench")
    assert not {name for name in found if not any(name.startswith(way) for way in allowed)}


@pytest.mark.parametrize("path", in_rooms(*COMMAND_LINE), ids=room)
def test_the_command_line_imports_nothing_slow_before_a_command_runs(path):
    at_once = {name for name in imports(path, at_once=True) if not f"{name}.".startswith("ffn.commands.")}
    assert {name.partition(".")[0] for name in at_once} <= sys.stdlib_module_names | {"tqdm"}


def test_only_the_page_knows_streamlit():
    rooms = ("app", "workbench.session", "workbench.elements", "workbench.camera", "workbench.pages")
    assert not [room(path) for path in FILES if imports_any(path, "streamlit") and path not in in_rooms(*rooms)]


def test_figures_know_no_network_and_tables_no_figure():
    assert not [room(path) for path in in_rooms("workbench.plots") if imports_any(path, "torch", "ffn", "timm")]
    assert not [room(path) for path in in_rooms("workbench.analysis") if imports_any(path, "plotly", "workbench.plots")]
    assert not [
        path for path in in_rooms("workbench.analysis", "workbench.plots") if imports_any(path, "workbench.session")
    ]


def test_pages_are_the_top():
    below = [path for path in FILES if path not in in_rooms("app", "workbench.pages")]
    assert not [room(path) for path in below if imports_any(path, "app", "workbench.pages")]


def test_surgery_knows_nothing_of_video():
    (surgery,) = in_rooms("ffn.surgery")
    assert not imports_any(surgery, "ffn")
    (layers,) = in_rooms("ffn.layers")
    assert not imports_any(layers, "ffn", "timm")


def test_only_one_room_opens_videos():
    readers = {room(path) for path in in_rooms("ffn", "workbench") if imports_any(path, "decord", "torchcodec", "cv2")}
    assert readers == {"ffn.video"}
    assert {room(path) for path in FILES if imports_any(path, "av")} <= {
        "ffn.video",
        *map(room, in_rooms("ffn.moving_shapes")),  # which writes them
    }


@pytest.mark.parametrize(
    ("function", "rooms"),
    [
        ("print", set(map(room, in_rooms(*COMMAND_LINE)))),
        ("add_argument", set(map(room, in_rooms("ffn.commands")))),
        ("backward", {"ffn.losses", "ffn.training"}),  # which says what backward is under a scaler and processes
    ],
)
def test_a_line_knows_its_room(function, rooms):
    assert {room(path) for path in FILES if function in calls(path)} <= rooms


def test_nothing_is_unpickled():
    assert not [room(path) for path in FILES if imports_any(path, "pickle", "joblib", "dill")]
    loaders = [path for path in FILES if "torch.load(" in path.read_text(encoding="utf-8")]
    assert all("weights_only=True" in path.read_text(encoding="utf-8") for path in loaders)


def test_state_has_one_owner():
    assert not [
        room(path)
        for path in FILES
        if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
    ]
    for path in FILES:
        if path not in in_rooms("workbench.session"):
            assert not re.search(r"st\.cache_", path.read_text(encoding="utf-8")), room(path)


def test_there_is_no_room_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "misc", "common")]


def test_every_module_says_what_it_is_for():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if text and path.name != "__main__.py":
            assert ast.get_docstring(ast.parse(text)), room(path)


def requirement_name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-")


def test_what_the_library_imports_is_a_dependency():
    declared = {requirement_name(line) for line in PROJECT["project"]["dependencies"]}
    homes = packages_distributions()
    for path in in_rooms("ffn"):
        for package in (
            {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"ffn", "workbench"}
        ):
            names = {name.lower().replace("_", "-") for name in homes[package]}
            assert names & declared, f"{room(path)} imports {package}"


def test_every_extra_is_in_all():
    extras = PROJECT["project"]["optional-dependencies"]
    (whole,) = extras["all"]
    included = set(re.search(r"\[(.*)\]", whole).group(1).split(","))
    assert {"app", "notebooks", "dev"} <= included <= extras.keys()


def test_the_conda_environment_defers_to_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["project"]["name"]
    python, pip, packages = environment["dependencies"]
    assert python == f"python{PROJECT['project']['requires-python']}"
    assert pip == "pip"
    assert packages == {"pip": ["-c constraints.txt", "-e .[all]"]}


def test_constraints_pin_what_is_installed_here_and_all_that_is_needed():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {requirement_name(line): line.partition("==")[2] for line in lines if line and not line.startswith("#")}
    assert all(pins.values())
    project = PROJECT["project"]
    needed = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    names = {requirement_name(line) for line in needed} - {project["name"], "eva-decord"}
    assert not names - pins.keys()


def test_every_package_is_shipped():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    assert listed == {room(path.parent) for path in FILES if path.parent != ROOT}
