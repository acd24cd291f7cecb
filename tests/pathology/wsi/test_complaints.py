"""What native code prints during a call is noticed, by whichever thread, and passed on."""

import subprocess
import sys

SCRIPT = """
import ctypes, threading
from pathology.wsi.complaints import Complaints

libc, complaints, seen = ctypes.CDLL(None), Complaints(), {}

with complaints.heard() as complained:
    seen["silent"] = complained()
    libc.printf(b"Corrupt JPEG data\\n")
    seen["printed"] = complained()
with complaints.heard() as complained:
    seen["after"] = complained()

begun, go = threading.Event(), threading.Event()

def other():
    with complaints.heard() as complained:
        begun.set()
        go.wait()
        seen["other_heard"] = complained()

thread = threading.Thread(target=other)
with complaints.heard() as complained:
    thread.start()
    begun.wait()
    libc.printf(b"another line\\n")
    seen["own"] = complained()
    go.set()
    thread.join()
print(sorted(seen.items()))
"""


def test_a_line_is_noticed_by_whoever_decodes_and_is_not_lost():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    *passed_on, seen = done.stdout.splitlines()
    assert passed_on == ["Corrupt JPEG data", "another line"]
    assert seen == str(sorted({"silent": False, "printed": True, "after": False, "own": True, "other_heard": True}.items()))
