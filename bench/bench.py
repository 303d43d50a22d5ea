"""./dev bench [--quick]: nginx, HAProxy and Penstock side by side on this machine, interleaved over rounds.

Standard library only. The files in peers/ are the configurations; measure.py says what is measured and when a
round is void. As root it runs in a network namespace of its own with the Reno congestion control (pacing of
others ruins latencies on loopback); otherwise it says with which one it ran.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import proxies
import report

ROOT = proxies.HERE.parent
CASES = {"GET of 1 KB, keep-alive": "/bytes/1024", "GET of 100 KB, keep-alive": "/bytes/102400"}
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def parse_options():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--quick", action="store_true", help="3 short rounds, under three minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each measurement")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", help="names of proxies, with commas between")
    parser.add_argument("--build", default=str(ROOT / "build" / "release"))
    parser.add_argument("--results", default=str(proxies.HERE / "results"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = max(2, options.seconds or (3 if options.quick else 6))
    return options


def enter_namespace(options):
    """Starts this program again inside a network namespace of its own, where Reno can be set for it alone."""
    if options.inside:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        if CONGESTION.read_text().strip() != "reno":
            CONGESTION.write_text("reno\n")
    elif os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv, "--inside"])
    else:
        print(f"bench: no network namespace without root; congestion control stays {CONGESTION.read_text().strip()}")


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return (done.stdout + done.stderr).strip()


def commit():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return "unknown"
    name = output_of("git", "rev-parse", "--short=10", "HEAD")
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no")
    return name + ("-changed" if changed else "")


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    first = lambda text: text.splitlines()[0] if text else "?"
    return {"processor": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores",
            "system": f"{release[1] if release else '?'}, Linux {platform.release()}",
            "congestion control": CONGESTION.read_text().strip(),
            "nginx": first(output_of("nginx", "-v")), "HAProxy": first(output_of("haproxy", "-v"))}


def run_rounds(options, started):
    results = {case: {name: [] for name in started} for case in CASES}
    for number in range(1, options.rounds + 1):
        for case, path in CASES.items():
            for name, proxy in started.items():
                if number == 1:  # connections, caches and the backend's answers warm
                    measure.result_of(measure.start_load(proxy, path, options.connections, 1), 1)
                result = measure.measure(proxy, path, options.connections, options.seconds)
                results[case][name].append(result)
                note = f"   VOID: {result['void']}" if result["void"] else ""
                print(f"round {number}  {case:27} {name:17} {result['rate']:9,.0f}/s  {result['cpu_us']:6.2f} us CPU  "
                      f"p99 {result['p99_us'] / 1000:6.2f} ms  core {result['core_share']:4.0%}{note}", flush=True)
    return results


def main():
    options = parse_options()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("bench: this needs two cores, one for the proxy and one for the load")
    enter_namespace(options)
    build, started = Path(options.build).resolve(), {}
    command = " ".join(["./dev bench", *[a for a in sys.argv[1:] if a != "--inside"]])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "state").mkdir()
        backend, backend_port = proxies.start_backend(build, folder)
        try:
            for name, start in proxies.starters(build, folder, backend_port).items():
                if not options.only or name in options.only.split(","):
                    started[name] = start(name)
            results = run_rounds(options, started)
            calls = {name: measure.system_calls(proxy, CASES["GET of 1 KB, keep-alive"], options.connections, 2)
                     for name, proxy in started.items()}
        finally:
            for proxy in started.values():
                proxy.stop()
            proxies.stop(backend)
    data = {"date": time.strftime("%Y-%m-%d"), "commit": commit(), "command": command, "rounds": options.rounds,
            "seconds": options.seconds, "connections": options.connections, "machine": machine(),
            "cases": {case: {name: report.summary(rounds) for name, rounds in by_name.items()}
                      for case, by_name in results.items()},
            "system_calls": calls, "all_rounds": results}
    path = report.write(Path(options.results), data)
    print(f"\n{path.read_text()}\nwritten: {os.path.relpath(path, ROOT)} and .json")
    return any("void" in s for by_name in data["cases"].values() for s in by_name.values())


if __name__ == "__main__":
    sys.exit(main())
