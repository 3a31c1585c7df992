"""A process that has imported Hilum once and forks a child for every step of the fault table.

One JSON request a line on standard input, one JSON answer a line on standard output. Each step runs
in a child of its own: the one that is killed, and the one that opens the directory afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import inspection
import usecases
from faulting import Mode, Points, patch

from hilum.errors import HilumError

Say = Callable[..., None]
_PATIENCE_S = 20
"""A child that takes longer hangs: it is ended, and the test says so."""


def build(request: dict[str, Any], say: Say) -> None:
    usecases.build(Path(request["folder"]))


def trace(request: dict[str, Any], say: Say) -> None:
    """Run a use case without a fault; say every point and what was durable after it."""
    root = Path(request["root"])
    views = [usecases.view(root)]
    points = Points(after_each=lambda: views.append(usecases.view(root)))
    _do(request, points, say)
    say(points=points.names, views=views)


def fail(request: dict[str, Any], say: Say) -> None:
    """Run a use case that fails at a point; where the process lives on, try it again."""
    _do(request, Points(at=request["at"], mode=Mode(request["mode"])), say)


def check(request: dict[str, Any], say: Say) -> None:
    """Open the directory anew and judge it."""
    root = Path(request["root"])
    found = usecases.view(root)
    say(view=found)
    problems = inspection.inspect(root, request["acks"], again=request.get("again"))
    say(problems=problems)


def _do(request: dict[str, Any], points: Points, say: Say) -> None:
    root, name = Path(request["root"]), request["case"]
    usecases.shrink()
    patch(points)

    def ack(**what: Any) -> None:
        say(ack=what)

    start = usecases.STARTS.get(name)
    if start is not None:
        points.armed = True
        _attempt(lambda: start(root, ack), frozenset(), say)
        return
    case, facts = usecases.CASES[name], usecases.facts_of(root)
    with usecases.opened(root) as node:
        usecases.warm(node, facts)
        points.armed = True
        _attempt(lambda: case.act(node, facts, ack), case.settled, say)
        say(live=usecases.view(root))
        if request["step"] == "fail":
            problems = inspection.behaviour(node, facts)
            say(problems=problems)


def _attempt(act: Callable[[], None], settled: frozenset[str], say: Say) -> None:
    try:
        act()
        return
    except HilumError as error:
        say(refused=error.code)
    try:
        act()
    except HilumError as error:
        if error.code not in settled:
            raise
        say(settled=error.code)


_STEPS = {"build": build, "trace": trace, "fail": fail, "check": check}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one step in a child; collect what it said until it ended, however it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w", buffering=1) as line:
            _child(request, lambda **what: line.write(json.dumps(what) + "\n"))
    os.close(writing)
    answer: dict[str, Any] = {"ack": [], "refused": [], "problems": []}
    with os.fdopen(reading) as lines:
        for line in lines:
            for name, value in json.loads(line).items():
                if name in {"ack", "refused"}:
                    answer[name].append(value)
                elif name == "problems":
                    answer[name] += value
                else:
                    answer[name] = value
    _pid, status = os.waitpid(child, 0)
    answer["code"] = os.waitstatus_to_exitcode(status)
    return answer


def _child(request: dict[str, Any], say: Say) -> None:
    code = 1
    signal.alarm(_PATIENCE_S)
    try:
        _STEPS[request["step"]](request, say)
        code = 0
    except BaseException:  # noqa: BLE001 - the edge of the child: whatever it was, the test shows it
        say(crash=traceback.format_exc())
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "copy" in request:
            shutil.rmtree(request["root"], ignore_errors=True)
            subprocess.run(
                ["cp", "-r", "--sparse=always", request["copy"], request["root"]], check=True
            )
        sys.stdout.write(json.dumps(run(request)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
