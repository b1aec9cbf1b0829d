"""The command line: tables on stdout, one line on stderr for whatever the user can mend."""

import csv
import io
import subprocess
import sys

import pytest
import torch
from conftest import random_clips
from test_official import weights, write

import ffn
from ffn import normalisation_gap, policy_results, results
from ffn.annotations import FORMATS
from ffn.cli import main
from ffn.commands import policies
from ffn.data import clips_for
from ffn.files import read_csv, write_csv
from ffn.policies import POLICIES, any_frame
from ffn.surgery import norms


@pytest.fixture
def run(capsys):
    """Runs a command and gives its exit status, output and errors; what tests printed before is dropped."""

    def call(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def fails(run, tmp_path):
    """Runs a command that must fail: one line, status 1, no new file."""

    def call(*arguments):
        before = sorted(tmp_path.rglob("*"))
        status, out, errors = run(*arguments)
        lines = [line for line in errors.splitlines() if line and not line.startswith("videos:")]  # the progress bar
        assert (status, out, len(lines)) == (1, "", 1), errors
        assert lines[0].startswith(f"ffn {arguments[0]}: ")
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return call


def table(text: str) -> list[dict[str, str]]:
    """The rows of a printed table, by the words over its columns."""
    header, *rows = (line.split("  ") for line in text.strip().splitlines())
    names = [cell.strip() for cell in header if cell.strip()]
    return [dict(zip(names, [cell.strip() for cell in row if cell.strip()], strict=True)) for row in rows]


def test_info_prints_card_cost_and_divergence(run, checkpoint):
    path = checkpoint(frames=(4, 8, 16), seed=3, recipe={"epochs": 2})
    status, out, errors = run("info", path, "--layers", "2")
    assert (status, errors) == (0, "")
    model = ffn.load(path)
    parameters = sum(p.numel() for p in model.parameters())
    assert str(parameters) in out.replace(",", "")
    for said in ("resnet18", "a, b", "epochs=2", "4, 8, 16"):
        assert said in out
    for num_frames in (4, 8, 16):
        assert f"{ffn.cost(model, num_frames).macs / 1e9:.4g}" in out
    assert "the 4-frame branch against the 16-frame branch: 21 layers" in out
    assert "the 8-frame branch against the 16-frame branch: 21 layers" in out
    assert out.count("symmetric KL (nats)") == 2


def test_info_of_an_ordinary_network_has_no_divergence(run, checkpoint):
    status, out, _ = run("info", checkpoint(frames=(16,)))
    assert status == 0
    assert "branch against" not in out


@pytest.mark.parametrize("command", ["info {}", "--help", "eval --help"])
def test_what_needs_no_torch_is_quick_because_it_loads_none(checkpoint, command):
    arguments = command.format(checkpoint()).split()
    code = f"import sys; from ffn.cli import main\ntry: main({arguments})\nfinally: sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "frames" in done.stdout


def test_eval_prints_a_row_per_frame_count(run, checkpoint, folder, tmp_path):
    path = checkpoint()
    arguments = ("--checkpoint", path, "--data", folder, "--frames", 1, 6, 4, 6, "--csv", tmp_path / "table.csv")
    status, out, _ = run("eval", *arguments)
    assert status == 0
    rows = table(out)
    assert [(row["frames"], row["branch"], row["clips"]) for row in rows] == [
        ("1", "4", "4"),
        ("6", "8", "4"),
        ("4", "4", "4"),
    ]
    preprocessing = ffn.checkpoint.preprocessing(ffn.read_card(path))
    want = ffn.evaluate(ffn.load(path), ffn.Clips(folder, frames=(1, 6, 4), preprocessing=preprocessing))
    assert [float(row["top-1 %"]) for row in rows] == [25.0 * result.correct for result in want]
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [list(row.values()) for row in rows]


def test_eval_names_what_it_skips(run, checkpoint, folder):
    (folder / "a" / "0.mp4").write_bytes(b"")
    status, out, errors = run("eval", "--checkpoint", checkpoint(), "--data", folder, "--frames", 4)
    assert status == 0
    assert table(out)[0]["clips"] == "3"
    assert f"skipped: {folder / 'a' / '0.mp4'}: cannot be decoded" in errors
    assert "1 of 4 videos were skipped" in errors


def test_eval_answers_by_policies(run, checkpoint, folder):
    path = checkpoint()
    arguments = ("eval", "--checkpoint", path, "--data", folder, "--frames", 4, 6)
    status, out, _ = run(*arguments, "--policy", *POLICIES, "--calibration", folder, "--clips", 3)
    assert status == 0
    rows = table(out)
    assert [row["policy"] for row in rows] == [policy for policy in POLICIES for _ in range(2)]
    assert [row["branch"] for row in rows if row["frames"] == "6"] == ["8", "6", "6", "8", "8"]
    same_work = [row["GMACs"] == rows[1]["GMACs"] for row in rows if row["frames"] == "6"]
    assert same_work == [True, True, True, False, False]
    status, alone, _ = run(*arguments, "--policy", "interpolate")
    assert table(alone) == [{k: v for k, v in row.items() if k != "policy"} for row in rows[2:4]]


@pytest.mark.parametrize(
    ("policy", "branches"), [("interpolate", "6 12"), ("recalibrate", "6 12"), ("synthesise", "8 8"), ("repeat", "8 8")]
)
def test_calibrate_writes_the_policy_into_a_checkpoint(run, checkpoint, folder, tmp_path, policy, branches):
    path, output = checkpoint(), tmp_path / "calibrated.safetensors"
    data = ("--data", folder, "--clips", 3) if policy == "recalibrate" else ()
    status, out, _ = run("calibrate", path, "--frames", 6, 12, "--policy", policy, *data, "-o", output)
    assert status == 0
    rows = table(out)
    assert " ".join(row["branch"] for row in rows) == branches
    assert f"policy={policy}" in rows[0]["how"]
    clips = clips_for(ffn.read_card(path), folder, (6, 12)) if data else None
    want = any_frame(ffn.load(path), (6, 12), policy, clips, limit=3)
    for num_frames in (4, 6, 12):
        with torch.no_grad():
            assert torch.equal(ffn.load(output)(random_clips(num_frames)), want(random_clips(num_frames)))
    assert f"policy={policy}" in run("info", output)[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--frames", 6, "--policy", "recalibrate"), "to recalibrate takes clips"),
        (("--frames", 4, 8, "--policy", "interpolate"), "each of 4, 8 has a branch"),
        (("--frames", 0, "--policy", "synthesise"), "positive integers"),
    ],
)
def test_a_calibration_that_cannot_be_is_one_line(fails, checkpoint, tmp_path, options, said):
    assert said in fails("calibrate", checkpoint(), *options, "-o", tmp_path / "out.safetensors")


def test_the_policies_are_those_of_the_library():
    assert policies.POLICIES == POLICIES


def test_extract_writes_one_branch(run, checkpoint, tmp_path):
    path, output = checkpoint(), tmp_path / "new" / "eight.safetensors"
    status, out, errors = run("extract", path, "--frames", 8, "--output", output)
    assert (status, errors) == (0, "")
    assert str(output) in out
    single, clips = ffn.load(output), random_clips(8)
    assert single.frames == (8,)
    with torch.no_grad():
        torch.testing.assert_close(single(clips), ffn.load(path)(clips), rtol=0, atol=1e-4)
    assert ffn.read_card(output)["classes"] == ["a", "b"]


@pytest.mark.parametrize("command", ["info", "eval", "extract"])
def test_what_is_no_checkpoint_is_one_line(fails, checkpoint, folder, tmp_path, command):
    good = checkpoint("good.safetensors").read_bytes()
    bad = {
        "cut.safetensors": good[: len(good) // 2],
        "foreign.safetensors": b"these are words\n" * 99,
        "empty.safetensors": b"",
        "header.safetensors": good[:20] + b"\xff\xff" + good[22:],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "pickle.safetensors")
    for name in (*bad, "pickle.safetensors", "nowhere.safetensors", "."):
        more = {"info": (), "eval": ("--data", folder), "extract": ("--frames", 4, "-o", tmp_path / "out.safetensors")}
        first = ("--checkpoint", tmp_path / name) if command == "eval" else (tmp_path / name,)
        assert str(tmp_path / name) in fails(command, *first, *more[command])


def test_data_that_cannot_be_used_is_one_line(fails, checkpoint, folder, tmp_path):
    path = checkpoint()
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.csv").write_text("neither path nor label\n1\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name, said in (
        ("empty", "holds no videos"),
        ("nowhere", "no such folder or manifest"),
        ("words.csv", "needs the columns path and label"),
        ("bytes.csv", "is not a CSV text file"),
    ):
        assert said in fails("eval", "--checkpoint", path, "--data", tmp_path / name)
    (folder / "b").rename(folder / "c")
    assert "1 labels that the network's 2 classes lack (c;" in fails("eval", "--checkpoint", path, "--data", folder)


def test_data_without_a_readable_video_is_one_line(fails, checkpoint, folder):
    path = checkpoint()
    for video in folder.glob("*/*.mp4"):
        video.write_bytes(b"")
    assert "none of the 4 videos of" in fails("eval", "--checkpoint", path, "--data", folder, "--csv", folder / "t.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--frames", 0), "at least 1 frame, got 0"),
        (("--frames", 4, -2), "at least 1 frame, got -2"),
        (("--batch-size", 0), "batch_size"),
        (("--workers", -1), "num_workers"),
        (("--device", "abacus"), "there is no device 'abacus' here"),
        (("--device", "cuda:77"), "there is no device 'cuda:77' here"),
    ],
)
def test_impossible_options_are_one_line(fails, checkpoint, folder, options, said):
    assert said in fails("eval", "--checkpoint", checkpoint(), "--data", folder, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--frames", 8, 4), "increasing positive integers"),
        (("--method", "mixed", "--frames", 16), "`--frames 16 --streams 4 16`"),
        (("--model-options", "[1]"), 'are named, such as {"drop_rate": 0.5}'),
        (("--architecture", "resnet19"), "did you mean resnet18"),
        (("--learning-rate", "nan"), "learning_rate must be a number of at least 0, got nan"),
        (("--validation", "nowhere"), "no such folder or manifest"),
        (("--init", "nowhere"), "no such checkpoint"),
        (("--recipe", "tsm"), "there is no recipe 'tsm'; there are tsm-sthv1"),
    ],
)
def test_a_training_that_cannot_be_is_one_line_and_leaves_nothing(fails, folder, tmp_path, options, said):
    small = ("--architecture", "resnet18", "--resize", 32, "--crop", 24, "--cache", "off", "--frames", 2, 4)
    assert said in fails("train", "-o", tmp_path / "run", "--data", folder, *small, *options)


def test_a_list_behind_a_link_has_its_videos_beside_the_link(run, folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("ffn.runs.run", lambda experiment, *_, **__: asked.append(experiment) or [])
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.txt").write_text("a/0.mp4 0\n")
    (folder / "train.txt").symlink_to(tmp_path / "lists" / "list.txt")
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    run("train", "-o", "run", "--data", "link/train.txt", "--frames", 4)
    assert asked[0].data == str(tmp_path / "link" / "train.txt")
    assert asked[0].clips().path(0).exists()


def test_model_options_that_are_no_json_are_one_line(capsys):
    with pytest.raises(SystemExit):
        main(["train", "-o", "run", "--model-options", "{drop_rate"])
    assert """expected JSON such as {"drop_rate": 0.5}, got '{drop_rate'""" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error(checkpoint):
    """`ffn info ... | head -1`"""
    command = [sys.executable, "-m", "ffn", "info", str(checkpoint())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_branch_that_is_not_there_is_one_line(fails, checkpoint, tmp_path):
    line = fails("extract", checkpoint(), "--frames", 5, "-o", tmp_path / "out.safetensors")
    assert "there is no branch 5; the branches are (4, 8)" in line


def test_a_place_that_cannot_be_written_is_one_line(fails, checkpoint, tmp_path):
    path = checkpoint()
    (tmp_path / "folder.safetensors").mkdir()
    fails("extract", path, "--frames", 4, "-o", tmp_path / "folder.safetensors")
    fails("extract", path, "--frames", 4, "-o", path / "out.safetensors")


def test_extracting_onto_itself_is_safe(run, checkpoint):
    path = checkpoint()
    assert run("extract", path, "--frames", 4, "-o", path)[0] == 0
    assert ffn.load(path).frames == (4,)


@pytest.mark.parametrize("show", [(), ("--show",)])
def test_an_unknown_experiment_network_is_one_line(fails, show):
    assert "there is no recipe 'nothing'" in fails("reproduce", "demo", "--only", "nothing", *show)


def test_only_some_networks_of_the_demo_are_shown(run):
    _, shown, _ = run("reproduce", "demo", "--only", "ffn-4-8-16", "--show")
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["ffn-4-8-16"]


@pytest.mark.parametrize("experiment", ["demo", "tables", "normalisation", "any-frame"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--show", "--output", "{}/nowhere"), "nothing of this is in {}/nowhere; leave out --show to make it"),
        (("--output", "{}/file/deep/out"), "/file/deep"),
        (("--output", "{}/file/out"), "/file"),
    ],
)
def test_an_output_where_nothing_is_or_can_be_is_found_before_any_work(
    fails, tmp_path, working, experiment, options, said
):
    (tmp_path / "file").touch()
    assert said.format(tmp_path) in fails("reproduce", experiment, *(word.format(tmp_path) for word in options))
    assert not working


@pytest.fixture
def working(monkeypatch):
    """The work that `ffn reproduce` begins, none of which is done."""
    begun = []
    for name in ("bundled.demo", "normalisation_gap.normalisation_gap", "commands.reproduce._train"):
        monkeypatch.setattr(f"ffn.{name}", lambda *_, name=name, **__: begun.append(name))
    return begun


def test_names_that_no_terminal_can_show_are_told_all_the_same(folder, not_unicode, monkeypatch):
    (folder / not_unicode).mkdir()
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["data", "check", str(folder)]) == 1
    terminal.seek(0)
    assert r"caf\udce9: is no class, for it holds no video" in terminal.read()


@pytest.mark.parametrize("experiment", ["tables", "any-frame"])
@pytest.mark.parametrize("device", ["abacus", "meta", "cuda:77"])
def test_a_device_that_is_not_there_is_found_before_any_work(fails, tmp_path, working, experiment, device):
    line = fails("reproduce", experiment, "--output", tmp_path / "rows.csv", "--device", device)
    assert f"there is no device '{device}' here" in line
    assert not working


@pytest.mark.parametrize(
    ("experiment", "missing"),
    [
        ("tables", "table, method, backbone, frames, seed,"),
        ("any-frame", "split, seed, correct, clips"),
        ("normalisation", "top1_low, top1_high, gained, gained_low, gained_high, share, share_low, share_high;"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--show",)])
def test_a_table_of_something_else_is_neither_shown_nor_written(fails, tmp_path, working, experiment, missing, options):
    other = tmp_path / "other.csv"
    other.write_text("num_frames,way,top1\n4,nearest,50.0\n")
    assert f"{other} lacks the columns {missing}" in fails("reproduce", experiment, "--output", other, *options)
    assert not working


RECORDED = {"tables": results.RESULTS, "any-frame": policy_results.ANY_FRAME, "normalisation": normalisation_gap.GAPS}


@pytest.mark.parametrize(
    ("experiment", "column", "value", "message"),
    [
        ("tables", "top1", "9a", "top1 must be a number from 0 to 100, got '9a'"),
        ("tables", "top1", "nan", "top1 must be a number from 0 to 100, got 'nan'"),
        ("tables", "top1", "9135", "top1 must be a number from 0 to 100, got '9135'"),
        ("tables", "frames", "4-x", "frames must be one or more frame counts like 4-8-16, got '4-x'"),
        ("tables", "seed", "1.5", "seed must be a whole number of at least 0, got '1.5'"),
        ("any-frame", "num_frames", "many", "num_frames must be a whole number of at least 1, got 'many'"),
        ("any-frame", "clips", "0", "clips must be a whole number of at least 1, got '0'"),
        ("normalisation", "top1_low", "low", "top1_low must be a number from 0 to 100, got 'low'"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--show",)])
def test_a_table_with_odd_values_is_neither_shown_nor_written(
    fails, tmp_path, working, experiment, column, value, message, options
):
    path, rows = tmp_path / "rows.csv", read_csv(RECORDED[experiment])
    write_csv(path, [rows[0], {**rows[1], column: value}, *rows[2:]])
    line = fails("reproduce", experiment, "--output", path, *options)
    assert f"row 2 under the header of {path}: {message}; mend the row, or remove it" in line
    assert not working


@pytest.mark.parametrize("experiment", RECORDED)
def test_a_table_that_says_one_thing_twice_is_not_shown(fails, tmp_path, experiment):
    path, rows = tmp_path / "rows.csv", read_csv(RECORDED[experiment])
    write_csv(path, [*rows, rows[2]])
    line = fails("reproduce", experiment, "--output", path, "--show")
    assert f"rows 3 and {len(rows) + 1} under the header of {path} are of the same" in line


def test_policies_that_were_only_validated_are_not_shown(fails, tmp_path):
    path = tmp_path / "rows.csv"
    write_csv(path, [row for row in read_csv(policy_results.ANY_FRAME) if row["split"] == "val"])
    assert f"nothing of this is in {path}" in fails("reproduce", "any-frame", "--output", path, "--show")


@pytest.mark.parametrize("experiment", ["normalisation", "any-frame"])
def test_what_is_made_as_a_whole_has_no_parts_to_choose(fails, working, experiment):
    assert f"{experiment} is made as a whole; --only is for" in fails("reproduce", experiment, "--only", "nearest")
    assert not working


def test_a_seed_below_0_is_refused_before_any_work(fails, working, tmp_path):
    output = tmp_path / "new" / "rows.csv"
    assert "a seed is a number from 0, got -1" in fails("reproduce", "tables", "--seeds", "1", "-1", "--output", output)
    assert not working


def test_an_interrupt_is_one_line(run, checkpoint, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ffn.card.read_card", interrupt)
    status, out, errors = run("info", checkpoint())
    assert (status, out, errors) == (130, "", "ffn info: interrupted\n")


def test_usage_errors_end_with_status_2(capsys):
    for arguments in ([], ["nonsense"], ["eval"], ["info", "x", "--layers", "many"]):
        with pytest.raises(SystemExit) as raised:
            main(arguments)
        assert raised.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_python_m_ffn_is_the_same_command(tmp_path):
    command = [sys.executable, "-m", "ffn", "info", str(tmp_path / "nowhere.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ffn info: no such checkpoint: {tmp_path / 'nowhere.safetensors'}\n"


@pytest.fixture
def authors(tmp_path):
    """A file of the authors: TSM-FFN ResNet-18, 7 classes."""
    return write(tmp_path / "authors.pth.tar", weights("resnet18"))


def test_import_writes_our_format(run, authors, tmp_path):
    output = tmp_path / "ours.safetensors"
    status, out, errors = run("import", authors, "--architecture", "resnet18", "--frames", "4", "8", "16", "-o", output)
    assert (status, errors) == (0, "")
    assert "TSM-FFN ResNet-18" in out
    card = ffn.read_card(output)
    assert card["frames"] == [4, 8, 16]
    assert (card["channel_order"], card["input_size"], card["source"]) == ("RGB", 224, "authors.pth.tar")
    assert card["params"] == 11_203_719
    want = ffn.load_official(authors, "resnet18")
    with torch.no_grad():
        assert torch.equal(ffn.load(output)(random_clips(6)), want(random_clips(6)))


def test_import_needs_no_architecture_and_takes_other_counts(run, authors, tmp_path):
    output = tmp_path / "ours.safetensors"
    assert run("import", authors, "--frames", "2", "3", "5", "-o", output)[0] == 0
    assert ffn.load(output).frames == (2, 3, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--architecture", "resnet5"], "did you mean resnet50"),
        (["--architecture", "resnet50"], "like resnet18"),
        (["--frames", "8", "4", "16"], "increasing positive integers"),
        (["--frames", "4", "8"], "three branches"),
    ],
)
def test_an_import_that_cannot_be_is_one_line(fails, authors, tmp_path, options, said):
    assert said in fails("import", authors, *options, "-o", tmp_path / "ours.safetensors")


def test_extract_folds_norms_on_request(run, checkpoint, tmp_path):
    output = tmp_path / "folded.safetensors"
    assert run("extract", checkpoint(frames=(4, 8)), "--frames", "8", "--fold-norms", "-o", output)[0] == 0
    assert not list(norms(ffn.load(output)))


def test_data_without_an_action_renders_as_ever(run, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("ffn.moving_shapes.prepare", lambda *args, **_: asked.append(args) or "the manifest")
    for arguments in ((), ("render",), ("--split", "val", "--root", tmp_path), ("render", "--split", "val")):
        assert run("data", *arguments)[:2] == (0, "the manifest\n")
    assert asked == [("test", None), ("test", None), ("val", tmp_path), ("val", None)]


def test_data_is_prepared_checked_and_evaluated(run, fails, checkpoint, folder, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "test.txt").write_text("a/0.mp4 1\nb/0.mp4 0\nb/9.mp4 0\n")
    (lists / "names.txt").write_text("b\na\n")
    arguments = ("tsn", "--annotations", lists, "--videos", folder, "--classes", lists / "names.txt")
    assert "lacks 1 of the 3 videos" in fails("data", "prepare", *arguments)
    status, out, errors = run("data", "prepare", *arguments, "--allow-missing")
    manifest = lists / "manifests" / "test.csv"
    assert (status, errors) == (0, "")
    assert table(out) == [{"manifest": str(manifest), "videos": "2", "missing": "1"}]
    status, out, errors = run("data", "check", manifest, "--workers", 0)
    assert status == 0
    assert "videos   2, of which 2" in out
    assert "lengths  12 to 12 frames, median 12\nsizes    48x48 (2)" in out
    assert run("eval", "--checkpoint", checkpoint(), "--data", manifest, "--frames", 4)[0] == 0


def test_a_check_prints_every_problem_and_fails(run, folder):
    (folder / "a" / "0.mp4").write_bytes(b"")
    (folder / "b" / "0.mp4").write_text("words")
    status, out, errors = run("data", "check", folder, "--all", "--workers", 0)
    assert status == 1
    assert [line.partition(": ")[0] for line in out.splitlines()[:2]] == [
        str(folder / "a" / "0.mp4"),
        str(folder / "b" / "0.mp4"),
    ]
    assert errors.endswith(f"ffn data: {folder}: problems found: 2\n")


def test_a_check_of_nothing_is_two_lines(run, tmp_path):
    status, out, errors = run("data", "check", tmp_path / "nowhere")
    assert (status, out) == (1, f"no such folder or manifest: {tmp_path / 'nowhere'}\n")
    assert errors.endswith(f"ffn data: {tmp_path / 'nowhere'}: problems found: 1\n")


def test_the_formats_are_those_of_the_library(capsys):
    with pytest.raises(SystemExit):
        main(["data", "prepare", "--help"])
    assert f"{{{','.join(FORMATS)}}}" in "".join(capsys.readouterr().out.split())


def test_report_writes_one_page(checkpoint, folder, tmp_path, capsys):
    output, link = tmp_path / "report.html", tmp_path / "link"
    link.symlink_to(folder)
    main(["report", str(checkpoint()), "--data", str(link), "--frames", "1", "4", "--at", "4", "-o", str(output)])
    assert f"wrote {output}" in capsys.readouterr().out
    assert "Accuracy against frames" in output.read_text(encoding="utf-8")
    assert str(link) in output.read_text(encoding="utf-8")


def test_too_little_memory_is_one_line(fails, checkpoint, folder, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory\nException raised")

    monkeypatch.setattr("ffn.evaluation.evaluate", full)
    assert "out of memory; take fewer frames" in fails("eval", "--checkpoint", checkpoint(), "--data", folder)


def test_outputs_that_cannot_be_are_told_before_the_work(fails, checkpoint, folder, tmp_path, monkeypatch):
    path, table = checkpoint(), tmp_path / "list.csv"
    table.write_text("path,label\nvideos/a/0.mp4,a\n")
    monkeypatch.setattr("ffn.checkpoint.load", lambda *_: pytest.fail("has begun"))
    assert "is read here and would be lost" in fails("eval", "--checkpoint", path, "--data", table, "--csv", table)
    assert "is read here and would be lost" in fails("report", path, "--data", folder, "-o", path)
    for words in (("report", path), ("extract", path, "--frames", 4)):
        assert "is a folder; name a file in it" in fails(*words, "-o", tmp_path)


def test_the_home_folder_is_found_in_every_path(run, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint()
    assert run("extract", "~/model.safetensors", "--frames", 4, "--output=~/single.safetensors")[0] == 0
    assert ffn.load(tmp_path / "single.safetensors").frames == (4,)
