"""An OpenID provider on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm


class Provider:
    """An OpenID provider: discovery document, keys, and valid or invalid tokens."""

    def __init__(self, url: str) -> None:
        self.url, self.key = url, generate_private_key(SECP256R1())
        self.document: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.requested_paths: list[str] = []
        self.kid, self.is_away = "k1", False
        self.has_error_page = False
        """True: every answer is an HTML page with status 200."""
        self.may_answer = threading.Event()
        self.may_answer.set()

    def answer(self, path: str) -> dict[str, Any]:
        self.requested_paths.append(path)
        assert self.may_answer.wait(10)
        if path != "/keys":
            return self.document
        jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [jwk | {"kid": self.kid, "use": "sig", "alg": "ES256"}]}

    def token(self, kid: str = "k1", key: EllipticCurvePrivateKey | None = None, **claims: Any) -> str:
        """Return an Authorization header; a claim with the value None is left out."""
        payload = {"iss": self.url, "aud": "voice", "sub": "alice", "exp": time.time() + 60, **claims}
        present = {name: value for name, value in payload.items() if value is not None}
        return "Bearer " + jwt.encode(present, key or self.key, algorithm="ES256", headers={"kid": kid})


@contextmanager
def serving() -> Iterator[Provider]:
    """Serve on a free port until the block ends; yield the provider."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = provider.answer(self.path)
            self.send_response(503 if provider.is_away else 200)
            self.end_headers()
            self.wfile.write(b"<html>" if provider.has_error_page else json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield provider
        provider.may_answer.set()
        server.shutdown()
        thread.join()
