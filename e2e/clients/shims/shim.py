"""Uploads with boto3 and Partway's shim, and says what came of each.

Usage: shim.py WORK BUCKET KEYS FILE, with the endpoint and the keys in AWS_*, and the origins of storage in SHIM_STORAGE (absent: the shim's
default). KEYS are separated by commas and made one after another, by the same client, each as WORK says:
  managed  upload_file, in parts of 8 MiB
  parts    a multipart upload by hand, its bodies one open file, each from where the one before ended
  put      PutObject of the open file, from its byte 1000 on
  pipe     PutObject of what cannot be read twice
Prints {"key", "etag", "error"} for each, a line each.
"""
import io
import json
import logging
import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import partway

logging.basicConfig(level=logging.WARNING)
work, bucket, keys, path = sys.argv[1:]
storage = os.environ.get("SHIM_STORAGE")
config = Config(s3={"addressing_style": "path"}, read_timeout=int(os.environ.get("SHIM_TIMEOUT", "60")))
s3 = partway.install(boto3.client("s3", config=config), storage.split(",") if storage else None)
partway.install(s3)  # again: it must change nothing
about = {"ContentType": "text/x-test", "Metadata": {"made-by": "shim"}, "CacheControl": "max-age=7"}


class Pipe(io.RawIOBase):
    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, b):
        return self.data.readinto(b)


def upload(key):
    if work == "managed":
        s3.upload_file(path, bucket, key, Config=TransferConfig(multipart_chunksize=8 << 20, max_concurrency=4), ExtraArgs=about)
        return s3.head_object(Bucket=bucket, Key=key)["ETag"]
    if work == "put":
        with open(path, "rb") as f:
            f.seek(1000)
            return s3.put_object(Bucket=bucket, Key=key, Body=f, **about)["ETag"]
    if work == "pipe":
        size = os.path.getsize(path)
        with open(path, "rb") as f:
            return s3.put_object(Bucket=bucket, Key=key, Body=Pipe(f.read()), ContentLength=size, **about)["ETag"]
    target = {"Bucket": bucket, "Key": key}
    target["UploadId"] = s3.create_multipart_upload(**target, **about)["UploadId"]
    done = []
    with open(path, "rb") as f:
        # botocore sends a file to its end: the second part is sent while the file stands in its midst.
        size = os.path.getsize(path)
        first = f.read(size // 2)
        done.append({"PartNumber": 1, "ETag": s3.upload_part(**target, PartNumber=1, Body=first)["ETag"]})
        done.append({"PartNumber": 2, "ETag": s3.upload_part(**target, PartNumber=2, Body=f)["ETag"]})
    return s3.complete_multipart_upload(**target, MultipartUpload={"Parts": done})["ETag"]


for key in keys.split(","):
    result = {"key": key}
    try:
        result["etag"] = upload(key)
    except (BotoCoreError, ClientError) as e:
        result["error"] = str(e)
    print(json.dumps(result))
