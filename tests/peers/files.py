"""Files through Python's own HTTP client, the third implementation after curl and wget.

python3 files.py URL CA: URL is a directory of the server, CA the file of who has signed its
certificate. Fails with a traceback where an answer is not what it should be.
"""

import hashlib
import http.client
import json
import ssl
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from urllib.parse import urlsplit

base, ca = sys.argv[1:]
place = urlsplit(base)
context = ssl.create_default_context(cafile=ca) if place.scheme == "https" else None


def connect():
    if context:
        return http.client.HTTPSConnection(place.hostname, place.port, timeout=20, context=context)
    return http.client.HTTPConnection(place.hostname, place.port, timeout=20)


def ask(connection, method, path, body=None, headers={}, **options):
    connection.request(method, place.path + path, body, headers, **options)
    answer = connection.getresponse()
    return answer, answer.read()


def expect(status, connection, method, path, *rest, **options):
    answer, body = ask(connection, method, path, *rest, **options)
    assert answer.status == status, f"{method} {path}: {answer.status} {answer.reason}: {body[:200]}"
    return answer, body


content = bytes(range(256)) * 20_000
digest = "sha-256=:" + b64encode(hashlib.sha256(content).digest()).decode() + ":"

# Everything over one connection, which the server has no reason to end.
connection = connect()
connection.connect()
socket = connection.sock
expect(201, connection, "PUT", "a/b%20c.bin", content, {"Repr-Digest": digest})
answer, body = expect(200, connection, "GET", "a/b%20c.bin", None, {"Want-Repr-Digest": "sha-256=10"})
assert body == content and answer.getheader("Repr-Digest") == digest, answer.getheaders()
tag = answer.getheader("ETag")
answer, body = expect(200, connection, "HEAD", "a/b%20c.bin")
assert body == b"" and int(answer.getheader("Content-Length")) == len(content)
answer, body = expect(206, connection, "GET", "a/b%20c.bin", None, {"Range": "bytes=-300", "If-Range": tag})
assert body == content[-300:]
assert answer.getheader("Content-Range") == f"bytes {len(content) - 300}-{len(content) - 1}/{len(content)}"
expect(304, connection, "GET", "a/b%20c.bin", None, {"If-None-Match": tag})
expect(416, connection, "GET", "a/b%20c.bin", None, {"Range": f"bytes={len(content)}-"})
expect(412, connection, "PUT", "a/b%20c.bin", b"new", {"If-None-Match": "*"})
expect(204, connection, "PUT", "a/b%20c.bin", b"new", {"If-Match": tag})
expect(412, connection, "DELETE", "a/b%20c.bin", None, {"If-Match": tag})
# Pieces of odd sizes, of which nobody knows how many there are.
pieces = [content[at:at + 70_001] for at in range(0, len(content), 70_001)]
expect(201, connection, "PUT", "chunked", iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
assert expect(200, connection, "GET", "chunked")[1] == content
answer, body = expect(200, connection, "GET", "", None, {"Accept": "application/json"})
names = {entry["name"]: entry.get("size") for entry in json.loads(body)["entries"]}
assert names == {"a": None, "chunked": len(content)}, names
expect(405, connection, "POST", "chunked", b"x" * 1000)
expect(204, connection, "OPTIONS", "chunked")
expect(204, connection, "DELETE", "chunked")
expect(404, connection, "GET", "chunked")
assert connection.sock is socket, "the connection was not kept"
connection.close()

# urllib follows redirects, asks for the end of the connection, and raises what is refused.
def fetch(path, **options):
    request = urllib.request.Request(base + path, **options)
    return urllib.request.urlopen(request, timeout=20, context=context)


with fetch("a/b%20c.bin") as answer:
    assert answer.read() == b"new"
with fetch("a") as answer:
    assert answer.url == base + "a/" and b"b c.bin" in answer.read()
for path, method, status in [("none", "GET", 404), ("a", "DELETE", 409), ("a/b%20c.bin", "PATCH", 405)]:
    try:
        fetch(path, method=method)
        raise AssertionError(f"{method} {path} was not refused")
    except urllib.error.HTTPError as refusal:
        assert refusal.code == status, f"{method} {path}: {refusal.code}"
