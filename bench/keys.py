"""Keys, certificates and tokens for the bench, made anew by the openssl program for each run."""

import base64
import hashlib
import json
import subprocess
import time

API_KEY = "bench-key-0123456789abcdef"
API_KEY_SHA256 = hashlib.sha256(API_KEY.encode()).hexdigest()


def openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def url_base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_certificate(folder):
    """bench.crt and bench.key (ECDSA P-256), and both in bench.pem for HAProxy."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-keyout", str(folder / "bench.key"), "-out", str(folder / "bench.crt"))
    (folder / "bench.pem").write_text((folder / "bench.crt").read_text() + (folder / "bench.key").read_text())


def make_token(folder):
    """A token signed with RS256; its key as token.pub and bench.jwks.json."""
    private = str(folder / "token.key")
    openssl("genrsa", "-out", private, "2048")
    openssl("rsa", "-in", private, "-pubout", "-out", str(folder / "token.pub"))
    modulus = bytes.fromhex(openssl("rsa", "-in", private, "-noout", "-modulus").decode().strip().split("=")[1])
    key = {"kty": "RSA", "kid": "bench", "alg": "RS256", "use": "sig", "n": url_base64(modulus), "e": "AQAB"}
    (folder / "bench.jwks.json").write_text(json.dumps({"keys": [key]}))
    now = int(time.time())
    parts = [{"alg": "RS256", "typ": "JWT", "kid": "bench"},
             {"iss": "https://idp.example.com/", "sub": "bench", "iat": now, "exp": now + 86_400}]
    signed = ".".join(url_base64(json.dumps(part).encode()) for part in parts)
    signature = openssl("dgst", "-sha256", "-sign", private, data=signed.encode())
    return f"{signed}.{url_base64(signature)}"
