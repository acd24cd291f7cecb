"""What native code prints during a call is noticed, by whichever thread, and passed on."""

import subprocess
import sys

SCRIPT = """
import ctypes, threading
from pathology.wsi.decoder_warnings import DecoderWarnings

libc, warnings, seen = ctypes.CDLL(None), DecoderWarnings(), {}

with warnings.captured() as printed:
    seen["silent"] = printed()
    libc.printf(b"Corrupt JPEG data\\n")
    seen["printed"] = printed()
with warnings.captured() as printed:
    seen["after"] = printed()

begun, go = threading.Event(), threading.Event()

def other():
    with warnings.captured() as printed:
        begun.set()
        go.wait()
        seen["other_thread"] = printed()

thread = threading.Thread(target=other)
with warnings.captured() as printed:
    thread.start()
    begun.wait()
    libc.printf(b"another line\\n")
    seen["both"] = printed()
    go.set()
    thread.join()
print(sorted(seen.items()))
"""


def test_a_line_is_noticed_by_whoever_decodes_and_is_not_lost():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    *passed_on, seen = done.stdout.splitlines()
    assert passed_on == ["Corrupt JPEG data", "another line"]
    assert seen == str(sorted({"silent": False, "printed": True, "after": False, "both": True, "other_thread": True}.items()))
