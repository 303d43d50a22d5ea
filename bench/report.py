"""The bench's results as a page, as JSON and as a plot."""

import json
from statistics import median

import plot

LABELS = {"floor": "floor (byte relay, no HTTP)", "nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy",
          "nghttpx": "nghttpx", "penstock": "Penstock"}
WITH = {"version": "version", "key": "API key", "rate": "rate limit", "jwt": "RS256 token", "log": "access log",
        "combined": "access log in nginx's format", "limit": "rate limit and header edits", "plugins": "four plugins",
        "h2": "HTTP/2 to the backend"}
SHOWN = ("rate", "cpu_us", "user_us", "system_us", "p50_us", "p99_us", "p999_us", "core_share")
MOST_FLOOR = 0.85  # of nginx: above it the machine was too noisy for the run to say anything
# What is not a ratio of CPU time: the most, and of what.
IDLE_KIB = {"plain": 0.6, "TLS": 14.6}  # of HTTP/2: what nghttpx has
CALLS, INSTRUCTIONS, SECOND_WORKER = 4.1, 4_000, 1.05
TWO_WORKERS = "CPU time a request with two workers, of that with one"


def label(name):
    program, _, variant = name.partition("+")
    return LABELS[program] + (f", {WITH[variant]}" if variant else "")


def spread(values):
    return {"median": median(values), "min": min(values), "max": max(values)}


def summary(rounds):
    """The medians of the rounds that count, or the reason why none is given."""
    good = [r for r in rounds if not r["void"]]
    if len(good) * 2 <= len(rounds):
        reasons = sorted({r["void"] for r in rounds if r["void"]})
        return {"void": f"{len(rounds) - len(good)} of {len(rounds)} rounds: {'; '.join(reasons)}"}
    return {"rounds": len(good), "of": len(rounds),
            **{key: spread([r[key] for r in good]) for key in SHOWN}}


def ratio(rounds, name, peer, value):
    """Of the rounds in which both count: the median of the ratios, the lowest and the highest."""
    pairs = [mine[value] / theirs[value] for mine, theirs in zip(rounds.get(name, []), rounds.get(peer, []))
             if not mine["void"] and not theirs["void"] and theirs[value] > 0]
    if name == peer or not pairs:
        return None
    return spread(pairs)


def summaries(chosen, results):
    out = {}
    for case in chosen:
        rounds = results[case.key]
        by_name = {name: summary(r) for name, r in rounds.items()}
        peers = [p for p in case.peers if "void" not in by_name.get(p, {"void": ""})]
        out[case.key] = {"title": case.title, "proxies": by_name, **beside(rounds, by_name, peers, case.value)}
        if case.p99:
            out[case.key]["p99"] = beside(rounds, by_name, peers, "p99_us")
    floor = ratio(results.get("1k", {}), "floor", "nginx", "cpu_us")
    if floor and floor["median"] > MOST_FLOOR:
        out["1k"]["void"] = f"the floor cost {floor['median']:.2f} of nginx: this machine was too busy, the run is void"
    return out


def beside(rounds, by_name, peers, value):
    return {"value": value, "better": min(peers, key=lambda p: by_name[p][value]["median"], default=None),
            "ratios": {name: {peer: ratio(rounds, name, peer, value) for peer in peers} for name in by_name}}


def voids(data):
    return sum("void" in s for case in data["cases"].values() for s in [case, *case["proxies"].values()])


def show(value, scale=1, digits=2):
    return f"{value['median'] / scale:,.{digits}f} ({value['min'] / scale:,.{digits}f} to {value['max'] / scale:,.{digits}f})"


def show_ratio(value):
    return "-" if value is None else f"{value['median']:.2f} ({value['min']:.2f} to {value['max']:.2f})"


def verdict(value, most):
    return "-" if value is None else "met" if value <= most else "missed"


def target_row(case, name, found, most):
    what = "p99" if found["value"] == "p99_us" else "CPU time"
    got = found["ratios"].get(name, {}).get(found["better"]) if found["better"] else None
    of = label(found["better"]) if found["better"] else "no peer"
    return f"{case.title}: {label(name)}, {what} of {of}'s", most, show_ratio(got), verdict(got and got["median"], most)


def target_rows(data, chosen):
    for case in chosen:
        found = data["cases"][case.key]
        for name, most in case.targets.items():
            yield target_row(case, name, found, most)
            if case.p99:
                yield target_row(case, name, found["p99"], case.p99)
    for kind, by_name in data.get("idle", {}).items():
        got = by_name.get("penstock", {}).get("kib")
        most = IDLE_KIB.get(kind) or by_name.get("nghttpx", {}).get("kib")
        yield (f"KiB per idle connection, {kind}", "-" if most is None else f"{most:.2f}",
               "void" if got is None else f"{got:.2f}", verdict(most and got, most))
    if "error" not in (calls := data.get("system_calls", {}).get("penstock", {"error": ""})):
        yield "system calls a request", CALLS, f"{sum(calls.values()):.2f}", verdict(sum(calls.values()), CALLS)
    counted = data.get("instructions", {})
    if {"penstock", "penstock+plugins"} <= counted.keys():
        got = counted["penstock+plugins"] - counted["penstock"]
        yield "instructions of the four plugins", f"{INSTRUCTIONS:,}", f"{got:,.0f}", verdict(got, INSTRUCTIONS)
    if (found := data.get("workers", {}).get("penstock")) is not None:
        got = spread(found) if found else None
        yield TWO_WORKERS, SECOND_WORKER, show_ratio(got) if got else "void", verdict(got and got["median"], SECOND_WORKER)


def case_table(found):
    compared = [found] + ([found["p99"]] if "p99" in found else [])
    columns = [(beside["ratios"], "p99" if beside["value"] == "p99_us" else "CPU", peer) for beside in compared
               for peer in sorted({peer for by_peer in beside["ratios"].values() for peer in by_peer})]
    head = ["proxy", "requests/s", "CPU us a request", "user + system", "p50 ms", "p99 ms", "p99.9 ms",
            *[f"{what} of {label(peer)}'s" for _, what, peer in columns], "core busy", "rounds"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, s in found["proxies"].items():
        if "void" in s:
            lines.append(f"| {label(name)} | void, {s['void']}{' |' * (len(head) - 1)}")
            continue
        cells = [label(name), show(s["rate"], digits=0), show(s["cpu_us"]),
                 f"{s['user_us']['median']:.1f} + {s['system_us']['median']:.1f}",
                 show(s["p50_us"], 1000), show(s["p99_us"], 1000), show(s["p999_us"], 1000),
                 *[show_ratio(ratios[name][peer]) for ratios, _, peer in columns],
                 f"{s['core_share']['median']:.0%}", f"{s['rounds']} of {s['of']}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def idle_cell(found):
    if found is None:
        return "-"
    return f"{found['kib']:.2f}" if "kib" in found else f"void, {found['void']}"


def extras(data):
    lines = []
    for key, load in (("system_calls", "1 KB"), ("h2_system_calls", "HTTP/2, 1 KB, 16 connections with 16 streams")):
        if not (calls := data.get(key)):
            continue
        lines += [f"## System calls under load (strace, {load})", "", "| proxy | system calls a request |", "|---|---|"]
        for name, counts in calls.items():
            shown = ", ".join(f"{call} {count:.2f}" for call, count in counts.items() if call != "error" and count >= 0.005)
            lines.append(f"| {label(name)} | " + (f"not measured: {counts['error']} |" if "error" in counts
                                                  else f"{sum(counts.values()):.2f}: {shown} |"))
        lines.append("")
    if counted := data.get("instructions"):
        lines += ["## Instructions of user space a request (callgrind, 1 KB, 8 connections)", "",
                  "| proxy | instructions |", "|---|---|"]
        lines += [f"| {label(name)} | {count:,.0f} |" for name, count in counted.items()] + [""]
    if idle := data.get("idle"):
        lines += ["## Resident memory per idle connection, KiB (10,000 idle, of HTTP/2 2,000; 64 active)", "",
                  "| proxy | " + " | ".join(idle) + " |", "|---" * (len(idle) + 1) + "|"]
        for name in dict.fromkeys(name for by_name in idle.values() for name in by_name):
            cells = [idle_cell(by_name.get(name)) for by_name in idle.values()]
            lines.append(f"| {label(name)} | " + " | ".join(cells) + " |")
        lines.append("")
    if workers := data.get("workers"):
        lines += [f"## {TWO_WORKERS}", "", "At a third of what one can do, on both cores, beside the load.", "",
                  "| proxy | two of one |", "|---|---|"]
        lines += [f"| {label(name)} | {show_ratio(spread(found)) if found else 'void'} |" for name, found in workers.items()] + [""]
    return lines


def page(data, chosen):
    lines = [f"# Side by side, {data['date']}, commit {data['commit']}", "",
             f"Command: `{data['command']}`. Medians of {data['rounds']} interleaved rounds of {data['seconds']:g} s, "
             "lowest and highest in parentheses; a ratio is taken within each round.", "",
             "Each proxy runs alone on core 0; the load and the backend share core 1. A round with an error, an answer other "
             "than 200, or (but at fixed rates) a proxy's core less than 90% busy is void (the floor's: 75%; long bodies and "
             "handshakes, which keep the load as busy: 50%). CPU time is the process's own, by "
             "the scheduler. At a fixed rate latency counts from the moment at which a request was due; over HTTP/2, whose "
             "load is h2load, from when it was sent, in a closed loop, so that a slower proxy is asked less. Below 1 is in "
             "favour of the row; differences under 5% are noise.", ""]
    lines += [f"**{case['void']}**\n" for case in data["cases"].values() if "void" in case]
    lines += [f"Not here, so not compared: {name} ({use}).\n" for name, use in data["lacking"].items()]
    lines += ["| | |", "|---|---|"] + [f"| {key} | {value} |" for key, value in data["machine"].items()] + [""]
    if targets := list(target_rows(data, chosen)):
        lines += ["## Targets", "", "| what | at most | found | |", "|---|---|---|---|"]
        lines += [f"| {what} | {most} | {got} | {how} |" for what, most, got, how in targets] + [""]
    for found in data["cases"].values():
        lines += [f"## {found['title']}", "", *case_table(found), ""]
    return "\n".join(lines + extras(data))


def write(folder, data, chosen, plot_too):
    folder.mkdir(exist_ok=True)
    stem = folder / f"{data['date']}-{data['commit']}"
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    stem.with_suffix(".md").write_text(page(data, chosen))
    if plot_too:
        (folder / "latest.svg").write_text(plot.bars(data, LABELS))
    return stem.with_suffix(".md")
