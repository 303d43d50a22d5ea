"""One measurement: load on one proxy for some seconds, and what the proxy spent on it."""

import json
import re
import signal
import subprocess
import time

import h2load
from cases import ANY_LOAD
from proxies import LOAD_CORE, PROXY_CORE, cpu_nanoseconds, resident_kib, user_and_system_seconds

# The floor costs less than the load and the backend beside it, so it waits for them; what it costs is a little less
# when it does not.
FLOOR_BUSY = 0.75
OTHERS = 0.05  # more than that share of the proxy's core used by others spoils a round


def load_command(proxy, options):
    words = ["taskset", "-c", LOAD_CORE, str(proxy.build / "penstock_load"), "--port",
             str(proxy.tls_port if "tls" in options else proxy.port)]
    for key, value in options.items():
        words += [f"--{key}", str(value)]
    for header in proxy.headers:
        words += ["--header", header]
    return words


def start_load(proxy, **options):
    if "streams" in options:
        return h2load.Load(proxy, LOAD_CORE, **options)
    return subprocess.Popen(load_command(proxy, options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def result_of(load, seconds):
    try:
        output, _ = load.communicate(timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        load.kill()
        raise SystemExit("bench: the load did not end; its figures would say nothing") from None
    if isinstance(load, h2load.Load):
        return load.result(output)
    found = re.search(r"^RESULT (.*)$", output, re.M)
    if not found:
        raise SystemExit(f"bench: the load generator gave no result:\n{output}")
    return json.loads(found[1])


def busy_share(run):
    """Runs `run` and tells which share of the proxies' core was busy meanwhile, whoever used it."""
    def ticks():
        line = next(l for l in open("/proc/stat") if l.startswith(f"cpu{PROXY_CORE} "))
        values = [int(v) for v in line.split()[1:9]]
        return sum(values), values[3] + values[4]
    all0, idle0 = ticks()
    run()
    all1, idle1 = ticks()
    return 1 - (idle1 - idle0) / max(all1 - all0, 1)


def measure(proxy, case, seconds):
    """Requests/s, CPU us a request, latency; `void` says why a round does not count."""
    seconds *= case.seconds
    user0, system0 = user_and_system_seconds(proxy.pid)
    cpu0 = cpu_nanoseconds(proxy.pid)
    load = start_load(proxy, seconds=seconds, **case.load)
    time.sleep(0.2)  # the share of the core is taken in the middle, without start and end
    begin, cpu_begin = time.monotonic_ns(), cpu_nanoseconds(proxy.pid)
    busy = busy_share(lambda: time.sleep(seconds - 0.4))
    share = (cpu_nanoseconds(proxy.pid) - cpu_begin) / (time.monotonic_ns() - begin)
    result = result_of(load, seconds)
    cpu = cpu_nanoseconds(proxy.pid) - cpu0
    user, system = (b - a for a, b in zip((user0, system0), user_and_system_seconds(proxy.pid)))
    requests = max(result["requests"], 1)
    result.update(rate=result["requests"] / (result["microseconds"] / 1e6), cpu_us=cpu / 1e3 / requests,
                  user_us=user * 1e6 / requests, system_us=system * 1e6 / requests, core_share=share,
                  others_share=max(0.0, busy - share))
    result["void"] = why_void(case, result, min(case.busy, FLOOR_BUSY) if proxy.name == "floor" else case.busy)
    return result


def why_void(case, result, busy):
    if result["bad_status"] or result["errors"]:
        return f"{result['bad_status']} answers other than 200, {result['errors']} errors"
    if result["requests"] == 0:
        return "no answer"
    if case.tls and result["resumed"] != (result["requests"] if case.load["tls"] == "resumed" else 0):
        # Of the first connections none has a session to offer.
        if case.load["tls"] != "resumed" or result["resumed"] < result["requests"] - 2 * case.load["connections"]:
            return f"{result['resumed']} of {result['requests']} sessions were resumed"
    others = f"others took {result['others_share']:.0%} of the proxy's core"
    if result["core_share"] < busy:
        return f"core {result['core_share']:.0%} busy" + (f", {others}" if result["others_share"] > OTHERS else "")
    if busy == ANY_LOAD and result["others_share"] > OTHERS:
        return others
    return None


def system_calls(proxy, fewer=4_000, more=20_000, **load):
    """System calls a request by name: the difference of two runs under strace, so that what making the
    connections takes, which both have, does not count."""
    few, many = calls_of(proxy, fewer, load), calls_of(proxy, more, load)
    if "error" in few or "error" in many:
        return few if "error" in few else many
    counts = {name: (many[name] - few.get(name, 0)) / (more - fewer) for name in many}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def calls_of(proxy, requests, load):
    strace = subprocess.Popen(["strace", "-c", "-f", "-p", str(proxy.pid)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    first = strace.stderr.readline()
    if "attached" not in first:
        strace.wait()
        return {"error": first.strip()}
    result_of(start_load(proxy, seconds=60, requests=requests, **load), 60)
    strace.send_signal(signal.SIGINT)
    _, table = strace.communicate(timeout=20)
    rows = (re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_0-9]+)$", line) for line in table.splitlines())
    return {row[2]: int(row[1]) for row in rows if row and row[2] != "total"}


def instructions(proxy, folder, warm=2_000, requests=20_000):
    """Instructions of user space a request, by callgrind, of a proxy that runs under it."""
    control = ["callgrind_control"]
    def run(count):
        result_of(start_load(proxy, seconds=120, requests=count, connections=8), 120)
    run(warm)
    subprocess.run([*control, "-z", str(proxy.pid)], check=True, capture_output=True, timeout=60)
    run(requests)
    subprocess.run([*control, "-d", str(proxy.pid)], check=True, capture_output=True, timeout=60)
    counted = 0
    for dump in folder.glob(f"{proxy.name}.callgrind.*"):
        found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(errors="replace"), re.M)
        counted += int(found[1]) if found else 0
    if counted == 0:
        raise SystemExit(f"bench: callgrind counted nothing for {proxy.name}")
    return counted / requests


def idle_memory(proxy, kind, connections):
    """KiB of resident memory for each idle connection, while 64 others are active. `kind`: options of the load."""
    result_of(start_load(proxy, seconds=1, **kind), 1)
    active = start_load(proxy, seconds=12, **kind)
    time.sleep(1)  # what 64 active connections take is taken
    before = resident_kib(proxy.pid)
    if "streams" in kind:
        held = h2load.hold(proxy, LOAD_CORE, connections)
    else:
        held = start_load(proxy, mode="held", connections=connections, **kind)
    said = held.stdout.readline()
    if "READY" not in said:
        raise SystemExit(f"bench: {connections} connections could not be held on {proxy.name}: {said}")
    time.sleep(1)  # what served them may go back to the system
    after = resident_kib(proxy.pid)
    result = result_of(held, 5)
    active_result = result_of(active, 12)
    bad = result["errors"] + result["bad_status"] + active_result["errors"] + active_result["bad_status"]
    return {"void": f"{bad} errors"} if bad else {"kib": (after - before) / connections}
