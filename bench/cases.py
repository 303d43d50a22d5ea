"""The cases of the bench, what each is compared with, and the targets: the share of the better peer's CPU time."""

from dataclasses import dataclass, field

PEERS = ("nginx", "haproxy")  # the better of them is the measure; Envoy stands in the tables only
H2_PEERS = ("nginx", "haproxy", "nghttpx", "envoy")  # of HTTP/2
H2_TO_H2_PEERS = ("haproxy+h2", "nghttpx+h2", "envoy+h2")  # nginx has no HTTP/2 to backends


@dataclass(frozen=True)
class Case:
    key: str
    title: str
    load: dict  # options of penstock_load, or of h2load.Load where it has `streams`
    proxies: tuple
    targets: dict = field(default_factory=dict)  # proxy -> at most this share of the better peer's
    peers: tuple = PEERS
    value: str = "cpu_us"  # what is compared
    p99: float = 0  # at most this share of the best peer's p99, too, for all that have targets; 0: not compared
    busy: float = 0.90  # of its core at least; below it a proxy was waiting for the load, and a round is void
    quick: bool = False
    seconds: float = 1  # times the measurement's length

    @property
    def tls(self):
        return "tls" in self.load


# Long bodies, handshakes and streams of HTTP/2 keep the load and the backend as busy as the proxy, whose core then cannot be full. Little is
# shared there by what one turn of a loop does for many, so a request costs the same.
BUSY_LOAD = 0.50
ANY_LOAD = 0.0  # fixed rates
FLOOR = ("floor",)
PLAIN = ("nginx", "haproxy", "penstock")
H2 = ("nginx", "haproxy", "nghttpx", "penstock")
H2_TO_H2 = ("haproxy+h2", "nghttpx+h2", "penstock+h2")


def kept(path="/bytes/1024", connections=64, **more):
    return {"path": path, "connections": connections, **more}


def h2(connections, streams, path="/bytes/1024"):
    """Over TLS, as browsers speak it."""
    return kept(path, connections, streams=streams, tls="full")


def h2_case(key, title, load, proxies, peers=H2_PEERS, **more):
    name = proxies[-1] if proxies[-1].startswith("penstock") else proxies[-2]
    return Case(key, f"h2 {title}", load, proxies, {name: 0.95}, peers, p99=1.00, seconds=0.8, busy=BUSY_LOAD,
                **more)


def cases(rates):
    """`rates`: requests a second at 30% and 70% of what the better peer can do, from this run."""
    return [
        Case("1k", "GET of 1 KB, 64 connections", kept(), FLOOR + PLAIN + ("penstock+plugins", "envoy"),
             {"penstock": 0.90, "penstock+plugins": 0.98}, quick=True),
        Case("1k-1000", "GET of 1 KB, 1,000 connections", kept(connections=1000), FLOOR + PLAIN, {"penstock": 0.75}),
        Case("16k", "GET of 16 KB", kept("/bytes/16384"), FLOOR + PLAIN),
        Case("100k", "GET of 100 KB", kept("/bytes/102400"), FLOOR + PLAIN, {"penstock": 0.65}, quick=True),
        Case("10m", "GET of 10 MB, 8 connections", kept("/bytes/10485760", 8), FLOOR + PLAIN, {"penstock": 1.05}, busy=BUSY_LOAD),
        Case("post", "POST of 1 MB, 8 connections", kept("/", 8, body=1 << 20), FLOOR + PLAIN, {"penstock": 0.85},
             busy=BUSY_LOAD),
        Case("fresh", "a new connection for each request", kept(mode="fresh"), FLOOR + PLAIN, {"penstock": 1.00},
             quick=True),
        Case("tls", "TLS 1.3, GET of 1 KB", kept(tls="full"), PLAIN, {"penstock": 0.80}, quick=True),
        Case("tls-full", "a full TLS handshake for each request", kept(tls="full", mode="fresh"), PLAIN,
             {"penstock": 1.00}, busy=BUSY_LOAD),
        Case("tls-resumed", "a resumed TLS session for each request", kept(tls="resumed", mode="fresh"), PLAIN,
             {"penstock": 1.00}, busy=BUSY_LOAD),
        # The target is for a line that says what nginx's says; a line of JSON has six times its bytes.
        Case("log", "access log to a file", kept(), ("nginx+log", "haproxy+log", "penstock+combined", "penstock+log"),
             {"penstock+combined": 0.75}, ("nginx+log", "haproxy+log")),
        Case("limit", "rate limit and header edits", kept(), ("nginx+limit", "haproxy+limit", "penstock+limit"),
             {"penstock+limit": 0.88}, ("nginx+limit", "haproxy+limit")),
        Case("jwt", "a repeated RS256 token", kept(), ("haproxy+jwt", "penstock+jwt"), {"penstock+jwt": 0.45},
             ("haproxy+jwt",)),
        Case("families", "each plugin family alone", kept(),
             ("penstock", "penstock+version", "penstock+key", "penstock+rate", "penstock+log", "penstock+plugins"),
             {}, ()),
        Case("at-30", f"GET of 1 KB at {rates[0]:,} a second", kept(rate=rates[0]), PLAIN, {"penstock": 0.92},
             busy=ANY_LOAD),
        Case("at-70", f"GET of 1 KB at {rates[1]:,} a second", kept(rate=rates[1]), PLAIN, {"penstock": 1.00},
             value="p99_us", busy=ANY_LOAD),
        h2_case("h2-1", "to h1, 1 KB, 64 connections with 1 stream", h2(64, 1), H2),
        h2_case("h2-16", "to h1, 1 KB, 16 connections with 16 streams", h2(16, 16), H2 + ("envoy",), quick=True),
        h2_case("h2-100", "to h1, 1 KB, 4 connections with 100 streams", h2(4, 100), H2),
        h2_case("h2-100k", "to h1, 100 KB, 4 connections with 16 streams", h2(4, 16, "/bytes/102400"), H2),
        h2_case("h2h2-16", "to h2, 1 KB, 16 connections with 16 streams", h2(16, 16), H2_TO_H2 + ("envoy+h2",),
                H2_TO_H2_PEERS),
        h2_case("h2h2-100k", "to h2, 100 KB, 4 connections with 16 streams", h2(4, 16, "/bytes/102400"), H2_TO_H2,
                H2_TO_H2_PEERS),
    ]
