"""Uploads one file with boto3, so that it can be killed and started again.

Usage: upload.py BUCKET KEY FILE, with the endpoint and the keys in AWS_*.
"""
import sys

sys.path.pop(0)  # or boto3.py beside this file would be the boto3 that is imported
import boto3
from boto3.s3.transfer import TransferConfig

bucket, key, path = sys.argv[1:]
boto3.client("s3").upload_file(path, bucket, key, Config=TransferConfig(max_concurrency=2))
