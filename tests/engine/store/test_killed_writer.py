import os
import signal
import time

import pytest

from engine.store import Store
from tests.engine.store.store_samples import start_python

RECORDER = """
import os, sys, threading
from engine.records.labels import Decision
from engine.store import Store
url, run = sys.argv[1:]
store = Store.open(url)
lock = threading.Lock()

def record(image_id):
    turn = 0
    while True:
        version = next((state.version for state in store.states([image_id])), 0)
        [ack] = store.record([Decision(f"{run}-{image_id}-{turn}", image_id, version, "label", "fox")])
        if ack.status != "saved":
            print(ack, file=sys.stderr)
            os._exit(1)
        with lock:
            print(ack.uid, ack.seq, flush=True)
        turn += 1

for image_id in range(3, 7):
    threading.Thread(target=record, args=(image_id,), daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("kills", [4, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_every_acknowledged_decision_survives_kill_nine(store: Store, url: str, kills: int) -> None:
    store.close()
    acknowledged: dict[str, int] = {}
    for run in range(kills):
        with start_python(RECORDER, url, run) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = [process.stdout.readline() for _ in range(40)]
            time.sleep(0.013 * (run % 7))
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()  # communicate() would begin behind what readline() has read ahead
            assert process.stderr.read() == ""
        for line in lines:
            if line.endswith("\n"):
                uid, seq = line.split()
                acknowledged[uid] = int(seq)
    with Store.open(url) as survived:
        recorded = {entry.uid: entry.seq for entry in survived.entries()}
        print(f"{kills} kills: {len(acknowledged):,} decisions acknowledged, {len(recorded):,} recorded")
        assert len(acknowledged) >= 40 * kills
        assert acknowledged.items() <= recorded.items()
        assert survived.verify() == []
