"""idle_h2.py PORT COUNT: so many connections of HTTP/2 over TLS, each with one request that was answered and silent from
then on. Says READY, waits for the end of its input, and ends as penstock_load does, with RESULT."""

import json
import resource
import socket
import ssl
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
ACK = END_STREAM = 1
END_HEADERS = 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(index, text):
    """A field with a name of HPACK's static table and a value of its own (RFC 7541 6.2.2)."""
    return bytes((index, len(text))) + text


def request(port):
    method_get, scheme_https, path, authority = b"\x82", b"\x87", 4, 1
    fields = method_get + scheme_https + literal(path, b"/bytes/1024") + literal(authority, f"127.0.0.1:{port}".encode())
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields)


def connect(port, context):
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))
    assert connection.selected_alpn_protocol() == "h2"
    connection.sendall(request(port))
    got, acknowledged, answered = b"", False, False
    while not (acknowledged and answered):
        read = connection.recv(65536)
        if not read:
            raise OSError("the proxy closed a connection")
        got += read
        while len(got) >= 9 and len(got) >= (end := 9 + int.from_bytes(got[:3], "big")):
            kind, flags = got[3], got[4]
            if kind == SETTINGS and flags & ACK:
                acknowledged = True
            elif kind == SETTINGS:
                connection.sendall(frame(SETTINGS, ACK, 0))
            elif kind in (RST_STREAM, GOAWAY):
                raise OSError("the proxy refused")
            elif kind in (DATA, HEADERS) and flags & END_STREAM:
                answered = True
            got = got[end:]
    return connection


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    held = [connect(port, context) for _ in range(count)]
    print("READY", flush=True)
    sys.stdin.read()
    errors = 0
    for connection in held:  # one that the proxy has ended does not hold its memory any more
        connection.setblocking(False)
        try:
            while connection.recv(65536):
                pass
            errors += 1
        except ssl.SSLWantReadError:
            pass
        except OSError:
            errors += 1
    print("RESULT " + json.dumps({"errors": errors, "bad_status": 0, "requests": count}), flush=True)


if __name__ == "__main__":
    main()
