"""Lets boto3 and aws-cli send UploadPart and PutObject past a Partway gateway, straight to storage.

The gateway answers such a request with 307 and a presigned URL before the body is sent; no stock client follows that. With this
module a client does, once per attempt, and sends storage nothing but the body and the headers that the URL has signed.

location.py: which URLs are followed, and with which headers. direct.py: the handlers of botocore's events.
"""
import os
from urllib.parse import urlsplit

from .direct import Direct
from .location import origin

__all__ = ["install", "awscli_initialize"]


def install(client, storage=None):
    """Makes a boto3 S3 client send bodies straight to storage. Returns the client; a second call changes nothing.

    storage: the origins that bodies may be sent to, like ["https://s3.example.com"]. Without it, any https host but the gateway's own.
    http is for those that are named here.
    """
    if client.meta.service_model.service_name != "s3":
        raise ValueError("partway.install: not an S3 client: %r" % (client,))
    allowed = None if storage is None else frozenset(map(origin, storage))
    Direct(client, allowed).register()
    return client


def awscli_initialize(events):
    """The entry point of an aws-cli plugin. PARTWAY_STORAGE has the origins for storage, separated by commas.

    Every S3 client that aws-cli makes is installed, except those that talk to AWS itself.
    """
    named = os.environ.get("PARTWAY_STORAGE")
    storage = [entry.strip() for entry in named.split(",") if entry.strip()] if named else None

    class Installed:
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            host = urlsplit(self.meta.endpoint_url).hostname or ""
            if not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
                install(self, storage)

    def add(base_classes, **_):
        base_classes.insert(0, Installed)

    events.register("creating-client-class.s3", add)
