"""Stands in for a worker: does what the file `script` beside it says, without training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
script = json.loads((folder.parents[1] / "script.json").read_text())
token = json.loads((folder / "config.json").read_text())["token"]


def event(type_: str, /, **fields: object) -> None:
    with open(folder / "events.jsonl", "a") as handle:
        handle.write(json.dumps({"type": type_, "time": time.time(), "token": token, **fields}) + "\n")


if script.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if script.get("child"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "child").write_text(str(child.pid))
event("started", pid=os.getpid(), pid_created=time.time())
for kind, fields in script.get("events", []):
    event(kind, **fields)
if "report" in script:
    (folder / "report.json").write_text(json.dumps(script["report"]))
    event("finished")
until = time.monotonic() + script.get("seconds", 0)
while time.monotonic() < until:
    time.sleep(0.05)
    if script.get("beats"):
        event("heartbeat")
    if script.get("heeds") and (folder / "control" / "cancel").exists():
        event("cancelled")
        sys.exit(2)
sys.exit(script.get("exit", 0))
