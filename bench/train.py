"""bench/train.py BUILD: load of every kind on BUILD/penstock, which counts what it executes (`./dev optimized`).

The kinds are the bench's cases, each so long that what matters shows; the counts say what is hot and which way a
branch goes, so their length says how much each kind weighs.
"""

import sys
import tempfile
from pathlib import Path

import measure
import proxies
from cases import h2, kept

ROOT = proxies.HERE.parent
PLAIN = [kept(requests=40_000), kept("/bytes/102400", requests=4_000), kept("/bytes/10485760", 8, requests=60),
         kept("/", 8, body=1 << 20, requests=300), kept("/", body=2_000, requests=4_000), kept(mode="fresh", requests=6_000),
         kept(tls="full", requests=10_000), kept(tls="full", mode="fresh", requests=500),
         kept(tls="resumed", mode="fresh", requests=500)]
H2 = [{**h2(16, 16), "requests": 30_000}, {**h2(4, 16, "/bytes/102400"), "requests": 2_000}]
ONE = [kept(requests=20_000)]
KINDS = {"penstock": PLAIN + H2, "penstock+h2": H2, "penstock+plugins": ONE, "penstock+limit": ONE,
         "penstock+log": ONE, "penstock+jwt": ONE}


def main():
    gateway = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        bench = proxies.Bench(ROOT / "build" / "release", Path(temporary), gateway)
        try:
            bench.prepare()
            for name, loads in KINDS.items():
                proxy = bench.start(name)
                for options in loads:
                    result = measure.result_of(measure.start_load(proxy, seconds=60, **options), 60)
                    if result["errors"] or result["bad_status"]:
                        raise SystemExit(f"train: {name} with {options}: {result}")
                proxy.stop()
                if proxy.process.returncode != 0:  # the counts are written when it ends by itself
                    raise SystemExit(f"train: {name} ended with {proxy.process.returncode}")
                print(f"trained: {name}", flush=True)
        finally:
            bench.end()


if __name__ == "__main__":
    main()
