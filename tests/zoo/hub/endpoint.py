"""A Hugging Face hub in memory: the routes that pulling and pushing a model need."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(ThreadingHTTPServer):
    """Holds the files of all repositories.

    Attributes:
        files: content by (repository, name).
        private: repositories that need a token.
        token: the only one that is accepted.
        sent: request lines, in order.
        announce: sizes that HEAD announces in place of the true ones, by name.
        status: of every reply, if it is not 0.
        trickle: names of files whose bodies, and of methods whose headers, arrive byte by byte.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[tuple[str, str], bytes] = {}
        self.private: set[str] = set()
        self.token = "hf_secret_of_the_test"
        self.sent: list[str] = []
        self.announce: dict[str, int] = {}
        self.status = 0
        self.trickle: set[str] = set()
        self.stopped = threading.Event()
        self.uploads: dict[str, bytes] = {}

    def handle_error(self, *_: object) -> None:
        """Says nothing: clients close connections when they have read enough."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def names(self, repository: str) -> set[str]:
        return {name for owner, name in self.files if owner == repository}

    def commit(self, repository: str) -> str:
        """The newest commit of a repository, which follows from its files."""
        files = [(name, self.files[repository, name]) for name in sorted(self.names(repository))]
        return hashlib.sha1(repr(files).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._resolve(with_body=False)

    def do_GET(self) -> None:
        self._resolve(with_body=True)

    def do_POST(self) -> None:
        body = self._begin()
        if self.server.status:
            self._reply(self.server.status)
        elif f"Bearer {self.server.token}" != self.headers.get("Authorization"):
            self._reply(401)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            repository = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(repository)
            self._json({"url": f"{self.server.url}/{repository}"})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {
                    "path": name,
                    "uploadMode": "lfs" if name.endswith((".onnx", ".safetensors")) else "regular",
                    "shouldIgnore": False,
                }
                for name in names
            ]
            self._json({"files": modes})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": wanted["oid"],
                    "size": wanted["size"],
                    "actions": {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}"}},
                }
                for wanted in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif "/commit/" in self.path:
            self._commit(body)
        else:  # the check of the card's metadata
            self._json({"errors": [], "warnings": []})

    def do_PUT(self) -> None:
        body = self._begin()
        assert hashlib.sha256(body).hexdigest() == self.path.rpartition("/")[2]
        self.server.uploads[self.path.rpartition("/")[2]] = body
        self._reply(200)

    def _begin(self) -> bytes:
        self.server.sent.append(f"{self.command} {self.path}")
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _commit(self, body: bytes) -> None:
        repository = re.fullmatch(r"/api/models/(.+)/commit/main", self.path.partition("?")[0])
        assert repository is not None

        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                content = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                content = self.server.uploads[value["oid"]]
            else:
                continue
            self.server.files[repository[1], value["path"]] = content
        commit = self.server.commit(repository[1])
        url = f"{self.server.url}/{repository[1]}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url})

    def _resolve(self, *, with_body: bool) -> None:
        self._begin()
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^/?]+)(?:\?.*)?", self.path)

        if self.server.status:
            self._reply(self.server.status)
            return
        if found is None:
            self._reply(404)
            return
        repository, revision, name = found.groups()
        denied = (
            repository in self.server.private
            and self.headers.get("Authorization") != f"Bearer {self.server.token}"
        )
        if denied or not self.server.names(repository):
            self._reply(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.server.commit(repository)):
            self._reply(404, {"X-Error-Code": "RevisionNotFound"})
        elif (repository, name) not in self.server.files:
            self._reply(404, {"X-Error-Code": "EntryNotFound"})
        else:
            content = self.server.files[repository, name]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            size = self.server.announce.get(name, len(content))
            commit = self.server.commit(repository)
            facts = {"X-Repo-Commit": commit, "ETag": etag, "X-Linked-Size": str(size)}
            self._reply(200, facts, content, with_body=with_body)

    def _json(self, value: object) -> None:
        self._reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _reply(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        with_body: bool = True,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # the client may have read enough
            if self.command in self.server.trickle:
                self.flush_headers()
                self._send_slowly(b"X-Slow: " + bytes(100))
            self.end_headers()
            if with_body and self.path.rpartition("/")[2] in self.server.trickle:
                self._send_slowly(body)
            elif with_body:
                self.wfile.write(body)

    def _send_slowly(self, data: bytes) -> None:
        for i in range(len(data)):
            self.wfile.write(data[i : i + 1])
            if self.server.stopped.wait(0.02):
                return
