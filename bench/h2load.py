"""Load over HTTP/2, by nghttp2's h2load, which the proxies' peers know as well; connections that stand still by idle_h2.py."""

import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path


class Load(subprocess.Popen):
    """h2load, which writes how long each request took into a file of its own. In a closed loop: each stream asks again
    when its answer is there, so a proxy that takes longer is asked less often."""

    def __init__(self, proxy, core, path, connections, streams, seconds=None, requests=None, tls=None):
        self.times = Path(tempfile.mkstemp(prefix="h2load.", dir="/dev/shm")[1])
        self.seconds = None if requests else seconds
        length = ["-n", str(requests)] if requests else ["-D", f"{seconds * 1000:.0f}ms"]
        self.url = f"https://127.0.0.1:{proxy.tls_port}{path}" if tls else f"http://127.0.0.1:{proxy.port}{path}"
        headers = [word for header in proxy.headers for word in ("-H", header)]
        super().__init__(["taskset", "-c", core, "h2load", "-c", str(connections), "-m", str(streams), "-t", "1",
                          *length, *headers, f"--log-file={self.times}", self.url],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self, output):
        """What penstock_load says, of h2load's words and its file."""
        microseconds = sorted(int(row[2]) for line in self.times.read_text().splitlines()
                              if len(row := line.split("\t")) > 2 and row[1] == "200")
        self.times.unlink()
        counts = dict((name, int(count)) for count, name in re.findall(r"(\d+) (done|failed|[2345]xx)", output))
        took = re.search(r"finished in ([\d.]+)(us|ms|m|s)", output)
        protocol = re.search(r"^Application protocol: (\S+)", output, re.M)
        if not took or not counts.keys() >= {"done", "failed", "5xx"} or not protocol:
            raise SystemExit(f"bench: h2load gave no result:\n{output}")
        if not protocol[1].startswith("h2"):
            raise SystemExit(f"bench: {self.url} was spoken to in {protocol[1]}")
        seconds = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[took[2]]
        bad_status = sum(counts[kind] for kind in ("3xx", "4xx", "5xx"))
        return {"requests": counts["done"], "errors": counts["failed"], "bad_status": bad_status,
                "microseconds": (self.seconds or seconds) * 1e6, "resumed": 0,
                **{name: share_of(microseconds, share) for name, share in
                   (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999))}}


def share_of(values, share):
    return values[min(len(values), math.ceil(len(values) * share)) - 1] if values else 0


def hold(proxy, core, connections):
    """A process that holds so many idle connections until its input ends, and says READY when it does."""
    script = Path(__file__).with_name("idle_h2.py")
    return subprocess.Popen(["taskset", "-c", core, sys.executable, str(script), str(proxy.tls_port), str(connections)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
