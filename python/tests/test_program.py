"""How the program is found and heard."""

import io
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nascent_velocity as nv
from nascent_velocity import _program, _settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Puts a shell script in the place of the program."""

    def put(script):
        path = tmp_path / "nascent"
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(0o755)
        monkeypatch.setenv("NASCENT_BIN", str(path))

    return put


def test_the_types_of_settings_are_up_to_date():
    if sys.version_info < (3, 11):
        pytest.skip("the script needs tomllib")
    made = subprocess.run([sys.executable, ROOT / "scripts/settings_types.py", "--check"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_the_program_is_the_one_that_the_environment_names():
    assert nv.version() == nv.__version__ and nv.version()[0].isdigit()


def test_a_program_that_is_not_there_is_said_with_where_it_was_sought(monkeypatch):
    monkeypatch.setenv("NASCENT_BIN", "/nowhere/nascent")
    with pytest.raises(FileNotFoundError, match="/nowhere/nascent"):
        nv.run("--version")


def test_lines_are_shown_as_they_come_and_what_is_printed_is_returned(pretend, monkeypatch):
    pretend("echo 'epoch 1' >&2; echo result; echo 'warning: few cells' >&2")
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    assert nv.run("train") == "result\n"
    assert shown.getvalue() == "epoch 1\nwarning: few cells\n"


def test_quiet_shows_nothing_but_an_error_is_still_told(pretend, capsys):
    pretend("echo 'epoch 1' >&2; echo 'error: a: b\nhint: c' >&2; exit 2")
    with pytest.raises(nv.NascentError) as caught:
        nv.run("train", quiet=True)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("a: b", "c", 2)
    assert capsys.readouterr() == ("", "")


def test_an_error_of_several_lines_is_told_whole_and_of_two_the_last():
    error = _program._error("error: one\nepoch\n\x1b[1;31merror:\x1b[0m two\r\nmore\r\n\x1b[1;36mhint:\x1b[0m do\n", 1)
    assert (error.message, error.hint) == ("two\nmore", "do")


def test_hints_are_told_in_the_words_of_python_too():
    hints = {
        "give another with --root": "--root is the argument root=",
        "--set input.unspliced=NAME": "--set input.unspliced is the argument input__unspliced=",
    }
    for hint, expected in hints.items():
        assert str(nv.NascentError("a", hint)) == f"a\nhint: {hint}\nin Python, {expected}"
    assert str(nv.NascentError("a", "run `nascent graph` first")) == "a\nhint: run `nascent graph` first"


def test_a_program_that_is_killed_says_so(pretend):
    pretend("echo 'epoch 3' >&2; kill -9 $$")
    with pytest.raises(nv.NascentError, match="signal 9\nepoch 3\nhint: .*memory") as caught:
        nv.run("train", quiet=True)
    assert caught.value.exit_code == -9


def test_much_that_is_said_neither_blocks_nor_hides_the_error(pretend):
    pretend("i=0; while [ $i -lt 3000 ]; do echo 'a line of a hundred letters or so, which fills pipes and is soon forgotten' >&2; "
            "i=$((i+1)); done; echo 'error: at last' >&2; exit 1")
    with pytest.raises(nv.NascentError, match="^at last$"):
        nv.run("train", quiet=True)


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
def test_on_a_terminal_the_program_has_a_terminal_too(pretend):
    import pty

    pretend("test -t 2 && echo yes; echo bar >&2")
    ours, theirs = pty.openpty()
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); import nascent_velocity as nv; print(nv.run('train'))"
    said = subprocess.run([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, timeout=60)
    os.close(theirs)
    assert said.stdout.split() == [b"yes"]
    assert b"bar" in os.read(ours, 1000)
    os.close(ours)


def test_an_interruption_waits_for_the_program_to_end(pretend, tmp_path):
    pretend(f"trap 'sleep 0.3; echo saved > {tmp_path}/saved; exit 130' INT; echo begun >&2; sleep 30 2>&- >&- & wait")
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); import nascent_velocity as nv; nv.run('train')"
    # What a shell starts in the background ignores Ctrl-C, and so would all that is started from there.
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    command = [sys.executable, "-c", code]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed)
    assert child.stderr.readline() == b"begun\n"
    os.killpg(child.pid, 2)
    assert b"KeyboardInterrupt" in child.communicate(timeout=20)[1]
    assert (tmp_path / "saved").exists()


def test_values_are_written_as_toml_reads_them():
    np = pytest.importorskip("numpy")
    values = {
        "text": ('a "b" \\ ü\n', '"a \\"b\\" \\\\ ü\\n"'),
        "true": (True, "true"),
        "numpy": (np.float32(0.5), "0.5"),
        "truth": (np.bool_(False), "false"),
        "small": (1e-7, "1e-07"),
        "pair": ((1.0, 0.7), "[1.0, 0.7]"),
        "array": (np.array([1, 2]), "[1, 2]"),
        "words": (["Ductal > Beta"], '["Ductal > Beta"]'),
    }
    for name, (value, expected) in values.items():
        assert _settings.toml(value, name) == expected, name
    with pytest.raises(TypeError, match="model.x"):
        _settings.words({"model": {"x": object()}}, {})
    assert _settings.words({"a": {"b": 1}}, {"a__b": None}) == []


def test_without_anndata_the_package_says_how_to_get_it():
    code = (
        "import sys; sys.modules['anndata'] = None; sys.path.insert(0, sys.argv[1]); import nascent_velocity as nv\n"
        "try: nv.train(None)\nexcept ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, ROOT / "python"], capture_output=True, text=True)
    assert "pip install 'nascent-velocity[anndata]'" in said.stdout, said.stderr
