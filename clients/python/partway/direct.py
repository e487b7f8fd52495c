"""The handlers of botocore's events that make one client send bodies straight to storage."""
import base64
import copy
import hashlib
import importlib
import io
import logging
import threading
import time

from .location import Refused, headers, origin, target

log = logging.getLogger("partway")

OPERATIONS = ("UploadPart", "PutObject")

# How long storage that could not be reached is left alone.
PAUSE = 300.0

_START = "partway.start"


class Direct:
    """The direct road of one client. Its methods are called on any thread."""

    def __init__(self, client, allowed):
        # botocore shows neither who sends a client's requests nor its CA bundle; tests hold these two names to aws-cli v1, v2 and boto3.
        self._gateway = client._endpoint.http_session
        self._verify = self._gateway._verify
        self._client = client
        self._allowed = allowed
        self._relay_until = 0.0
        self._sessions = {}
        self._lock = threading.Lock()
        # botocore, or the copy of it inside aws-cli v2.
        root = type(self._gateway).__module__.rpartition(".")[0]
        self._utils = importlib.import_module(root + ".utils")
        e = importlib.import_module(root + ".exceptions")
        self._failed = e.HTTPClientError
        self._unreachable = (e.EndpointConnectionError, e.ConnectTimeoutError, e.ProxyConnectionError, e.SSLError)

    def register(self):
        events = self._client.meta.events
        for operation in OPERATIONS:
            for event, register, handler in (
                ("before-call", events.register_first, self.prepare),
                ("request-created", events.register_first, self.rewind),
                ("before-send", events.register_last, self.send),
            ):
                register("%s.s3.%s" % (event, operation), handler, unique_id="partway-%s-%s" % (event, operation))

    def prepare(self, params, context, **_):
        """before-call, ahead of botocore's checksums: a body that can be sent again goes plain, its checksum in a header."""
        if isinstance(params.get("body"), (bytes, bytearray)) and params["body"]:
            params["body"] = io.BytesIO(params["body"])  # botocore waits with the body of a file only
        start = _position(params.get("body"))
        if start is None:
            return
        context[_START] = start
        checksum = context.get("checksum", {}).get("request_algorithm")
        if isinstance(checksum, dict):
            checksum["in"] = "header"
        elif not any(name.lower() == "content-md5" or name.lower().startswith("x-amz-checksum-") for name in params["headers"]):
            # A presigned URL cannot bind the SHA-256 that would have been signed.
            params["headers"]["Content-MD5"] = _md5(params["body"], start)
        config = copy.copy(context["client_config"])
        config.s3 = dict(config.s3 or {}, payload_signing_enabled=False)
        context["client_config"] = config

    def rewind(self, request, **_):
        """request-created, at the begin of each attempt: botocore itself goes back to the begin of the file, wherever the body began."""
        start = request.context.get(_START)
        if start is not None:
            request.data.seek(start)

    def send(self, request, **_):
        """before-send, in place of botocore's sending. Returns the answer of storage or of the gateway, which botocore then judges: an
        attempt that is made again comes here again, and asks for a URL again."""
        sent = request.headers
        start = _position(request.body) if int(sent.get("Content-Length") or 0) > 0 else None
        if start is None or time.monotonic() < self._relay_until:
            sent["x-partway-transfer"] = b"relay"
            return None
        sent["x-partway-transfer"] = b"redirect"
        answer = self._gateway.send(request)
        if answer.status_code != 307 or not answer.headers.get("x-partway-transfer", "").startswith("redirect"):
            return answer
        stored = self._follow(request, answer.headers.get("Location", ""), start)
        if stored is not None:
            return stored
        request.body.seek(start)
        sent["x-partway-transfer"] = b"relay"
        return self._gateway.send(request)

    def _follow(self, request, location, start):
        """Sends the body to where the gateway led, and returns storage's answer; None if the relay has to be asked for."""
        try:
            url = target(location, self._client.meta.endpoint_url, self._allowed)
            there = headers(url, request.headers)
        except Refused as why:
            log.warning("partway: redirect not followed: %s; asking for the relay", why)
            return None
        there["Content-Length"] = request.headers["Content-Length"]
        there["Expect"] = b"100-continue"
        request.body.seek(start)
        try:
            answer = self._session(location).send(type(request)("PUT", location, there, request.body, False))
        except self._unreachable as why:
            self._relay_until = time.monotonic() + PAUSE
            log.warning("partway: %s:%d cannot be reached: %s; asking for the relay", *origin(location)[1:], type(why).__name__)
            return None
        except self._failed as why:
            # botocore's to try again. What it says names the URL, and who has that may write until it expires.
            if "endpoint_url" not in why.kwargs:
                raise
            raise type(why)(**dict(why.kwargs, endpoint_url=location.partition("?")[0])) from None
        if 300 <= answer.status_code < 400 or answer.status_code == 403:
            log.warning("partway: storage answered %d; asking for the relay", answer.status_code)
            return None
        return answer

    def _session(self, url):
        """Sends to storage as the client sends to the gateway, but for its proxy, which depends on the host, and its client certificate,
        which is the gateway's business."""
        config = self._client.meta.config
        proxies = config.proxies or self._utils.get_environ_proxies(url)
        key = tuple(sorted(proxies.items()))
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = type(self._gateway)(
                    verify=self._verify, proxies=proxies, proxies_config=config.proxies_config,
                    timeout=(config.connect_timeout, config.read_timeout), max_pool_connections=config.max_pool_connections)
            return self._sessions[key]


def _position(body):
    """Where a body that can be sent again begins; None for every other."""
    try:
        start = body.tell()
        body.seek(start)
    except (AttributeError, TypeError, OSError, ValueError):
        return None
    return start


def _md5(body, start):
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in iter(lambda: body.read(1 << 20), b""):
        digest.update(chunk)
    body.seek(start)
    return base64.b64encode(digest.digest()).decode("ascii")
