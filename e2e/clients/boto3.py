"""Everyday work with boto3: managed transfers, single calls, a multipart upload by hand, presigned URLs, lists and deletes.

Usage: boto3.py BUCKET PREFIX FILE, with the endpoint and the keys in AWS_*. FILE has 11 MiB or more. Leaves PREFIX/managed,
PREFIX/small and PREFIX/by-hand for the caller to compare.
"""
import os
import ssl
import sys
import urllib.request

sys.path.pop(0)  # or this file would be the boto3 that is imported
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

bucket, prefix, path = sys.argv[1:]
content = open(path, "rb").read()
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"))


def read(key, **more):
    return s3.get_object(Bucket=bucket, Key=prefix + key, **more)["Body"].read()


def fetch(url, body=None):
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE")) if url.startswith("https:") else None
    request = urllib.request.Request(url, data=body, method="GET" if body is None else "PUT")
    return urllib.request.urlopen(request, context=context).read()


parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_file(path, bucket, prefix + "managed", Config=parts,
               ExtraArgs={"Metadata": {"made-by": "boto3"}, "ContentType": "text/x-test"})
s3.download_file(bucket, prefix + "managed", path + ".back", Config=parts)
assert open(path + ".back", "rb").read() == content
head = s3.head_object(Bucket=bucket, Key=prefix + "managed")
assert head["Metadata"] == {"made-by": "boto3"} and head["ContentType"] == "text/x-test", head
assert "ContentEncoding" not in head, head

s3.put_object(Bucket=bucket, Key=prefix + "small", Body=content[:1000])
assert read("small") == content[:1000]
assert read("small", Range="bytes=10-19") == content[10:20]
s3.copy_object(Bucket=bucket, Key=prefix + "copy", CopySource={"Bucket": bucket, "Key": prefix + "small"})
assert read("copy") == content[:1000]

target = {"Bucket": bucket, "Key": prefix + "by-hand"}
upload = dict(target, UploadId=s3.create_multipart_upload(**target)["UploadId"])
done = []
for number, body in enumerate((content[:5 << 20], content[5 << 20:]), 1):
    done.append({"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]})
listed = s3.list_parts(**upload)["Parts"]
assert [(p["PartNumber"], p["ETag"]) for p in listed] == [(p["PartNumber"], p["ETag"]) for p in done], listed
s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
assert read("by-hand") == content
left = dict(target, UploadId=s3.create_multipart_upload(**target)["UploadId"])
found = s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix)["Uploads"]
assert [(u["Key"], u["UploadId"]) for u in found] == [(left["Key"], left["UploadId"])], found
s3.abort_multipart_upload(**left)

assert fetch(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": prefix + "small"})) == content[:1000]
fetch(s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": prefix + "presigned"}), body=content[:2000])
assert read("presigned") == content[:2000]

pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": 2})
keys = [o["Key"].removeprefix(prefix) for page in pages for o in page["Contents"]]
assert keys == ["by-hand", "copy", "managed", "presigned", "small"], keys
gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": prefix + k} for k in ("copy", "presigned")]})
assert len(gone["Deleted"]) == 2 and "Errors" not in gone, gone
try:
    read("copy")
    raise SystemExit("read a deleted object")
except s3.exceptions.NoSuchKey:
    pass
print(boto3.__version__)
