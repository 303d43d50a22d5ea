#!/usr/bin/python3
"""Makes tests/plugins/data/pyjwt.json: a key and a token for each algorithm, by PyJWT and python3-cryptography, so that
the plugin is tried with what others write. Not part of a test run: ./make_tokens.py >../data/pyjwt.json"""
import json
import os

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms
from jwt.utils import base64url_encode

CLAIMS = {"iss": "https://idp.example.com/", "aud": "orders-api", "sub": "svc-1", "iat": 1800000000,
          "nbf": 1799999940, "exp": 1800000060, "scope": "orders.read orders.write"}


def number(value, size):
    return base64url_encode(value.to_bytes(size, "big")).decode()


def signer(name):
    """The private key, and the public one as a JWK."""
    if name.startswith("HS"):
        secret = os.urandom(int(name[2:]) // 8)
        return secret, {"kty": "oct", "k": base64url_encode(secret).decode()}
    if name[:2] in ("RS", "PS"):
        key = rsa.generate_private_key(65537, 2048 + 8)  # a length that is no multiple of much
        n = key.public_key().public_numbers()
        return key, {"kty": "RSA", "n": number(n.n, 257), "e": number(n.e, 3)}
    if name.startswith("ES"):
        curve, crv = {"ES256": (ec.SECP256R1, "P-256"), "ES384": (ec.SECP384R1, "P-384"),
                      "ES512": (ec.SECP521R1, "P-521")}[name]
        key = ec.generate_private_key(curve())
        n = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        return key, {"kty": "EC", "crv": crv, "x": number(n.x, size), "y": number(n.y, size)}
    kind, crv = (ed25519.Ed25519PrivateKey, "Ed25519") if name == "EdDSA" else (ed448.Ed448PrivateKey, "Ed448")
    key = kind.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key, {"kty": "OKP", "crv": crv, "x": base64url_encode(raw).decode()}


out = {"made_by": "PyJWT", "keys": [], "tokens": {}}
for name in ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
             "ES256", "ES384", "ES512", "EdDSA", "EdDSA Ed448"]:
    assert name.split()[0] in get_default_algorithms()
    key, jwk = signer(name)
    kid = "py-" + name.replace(" ", "-")
    out["keys"].append({**jwk, "kid": kid})
    if jwk["kty"] == "oct":
        out["keys"][-1]["alg"] = name
    out["tokens"][name] = jwt.encode(CLAIMS, key, algorithm=name.split()[0], headers={"kid": kid})
print(json.dumps(out, indent=1))
