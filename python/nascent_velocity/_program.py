"""The program: where it is, how it is run, what it says while it works, and its errors as exceptions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import deque
from pathlib import Path
from typing import Optional, Sequence, Union

#: Names another binary than the one of this package.
BINARY = "NASCENT_BIN"

#: Bytes of what the program said last that are searched for its error.
LAST = 1 << 16

Word = Union[str, "os.PathLike[str]"]


class NascentError(RuntimeError):
    """The program ended with an error.

    Attributes
    ----------
    message
        What is wrong, in the program's own words: file, place, value, and what was wanted.
    hint
        What to do about it, if there is more to say.
    exit_code
        2 for something that you gave (data, settings), 130 for an interruption, 1 for the rest; negative for a signal.
    """

    def __init__(self, message: str, hint: Optional[str] = None, exit_code: int = 1):
        self.message, self.hint, self.exit_code = message, hint, exit_code
        super().__init__(message, hint, exit_code)

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        said = f"{self.message}\nhint: {self.hint}"
        for setting, flag in re.findall(r"--set ([\w.]+)=|--(root|groups|genes|device|memory|samples|run)\b", self.hint):
            flag, argument = (f"set {setting}", setting.replace(".", "__")) if setting else (flag, flag)
            said += f"\nin Python, --{flag} is the argument {argument}="
        return said


def program() -> Path:
    """Path of the program.

    Raises
    ------
    FileNotFoundError
        It is neither in this environment nor on the PATH.
    """
    named = os.environ.get(BINARY)
    name = "nascent.exe" if os.name == "nt" else "nascent"
    if named:
        places = [Path(named)]
    else:
        schemes = [None, f"{os.name}_user"]
        scripts = [sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts") for scheme in schemes]
        # Last where `pip install --target FOLDER` puts it.
        places = [Path(folder) / name for folder in scripts] + [Path(__file__).parent.parent / "bin" / name]
        places += [Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place.resolve()
    raise FileNotFoundError(
        f"the program nascent is not at {places[0]}" + (f", which {BINARY} names" if named else " and not on the PATH")
        + "; pip install --force-reinstall nascent-velocity brings it"
    )


def version() -> str:
    """Version of the program, such as 0.1.0."""
    said = subprocess.run([str(program()), "--version"], check=True, stdout=subprocess.PIPE).stdout
    return said.decode().split()[-1]


def run(*words: Word, quiet: bool = False, folder: Optional[Word] = None) -> str:
    """Runs ``nascent WORDS…`` and returns what it prints: ``nv.run("explain", "counts.h5ad")``.

    Its progress and warnings are shown on ``sys.stderr``: bars on a terminal, lines in a notebook.

    Parameters
    ----------
    words
        Command and flags, as on the command line.
    quiet
        Show nothing. Warnings are not shown either.
    folder
        Working directory of the program.

    Raises
    ------
    NascentError
        The program ended with an error.
    KeyboardInterrupt
        The program, which the interruption reaches as well, ends first: a network after its epoch, the second time at once.
    """
    command = [str(program()), *(os.fspath(word) for word in words)]
    with tempfile.TemporaryFile() as printed:
        code, said = _run(command, printed, quiet, folder)
        printed.seek(0)
        output = printed.read().decode("utf-8", "replace")
    if code != 0:
        raise _error(said, code)
    return output


def _run(command: Sequence[str], printed, quiet: bool, folder: Optional[Word]) -> tuple[int, str]:
    """Exit code and the last of what was said."""
    ours, theirs = _terminal() if not quiet and _on_terminal() else os.pipe()
    show = (lambda _: None) if quiet else _show
    last: deque[bytes] = deque()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=theirs, cwd=folder)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        try:
            _listen(ours, show, last)
            code = child.wait()
        except KeyboardInterrupt:
            _listen(ours, show, last)
            child.wait()
            raise
    finally:
        # Reached with the program at work only by a second interruption, or where nothing can be shown.
        if child.poll() is None:
            child.terminate()
            child.wait()
        os.close(ours)
    return code, b"".join(last).decode("utf-8", "replace")


def _listen(source: int, show, last: deque[bytes]) -> None:
    """Shows all that comes, as it comes, and keeps the last of it."""
    kept = sum(map(len, last))
    while True:
        try:
            said = os.read(source, 1 << 14)
        except OSError:
            # How Linux says that nobody is at the other end of a terminal.
            return
        if not said:
            return
        last.append(said)
        kept += len(said)
        while kept - len(last[0]) > LAST:
            kept -= len(last.popleft())
        show(said)


def _on_terminal() -> bool:
    try:
        return os.name == "posix" and sys.stderr.isatty() and sys.stderr.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False


def _terminal() -> tuple[int, int]:
    """Both ends of a terminal as wide as that of the user, so that the program draws its bars."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    try:
        size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    except OSError:
        pass
    return ours, theirs


def _show(said: bytes) -> None:
    sys.stderr.write(said.decode("utf-8", "replace"))
    sys.stderr.flush()


def _error(said: str, code: int) -> NascentError:
    """The error that the program ends with: ``error: …`` up to ``hint: …``, each at the beginning of a line."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", said)
    found = re.split(r"^error: ", plain, flags=re.MULTILINE)
    if len(found) == 1:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "the system may have run out of memory" if code == -9 else None
        return NascentError("\n".join([f"nascent {how}", *plain.splitlines()[-5:]]), hint, code)
    message, _, hint = found[-1].partition("\nhint: ")
    return NascentError(message.strip(), hint.strip() or None, code)
