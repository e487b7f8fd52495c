import unittest
from urllib.parse import urlsplit

from partway.location import Refused, headers, origin, target

GATEWAY = "https://gw.example.com:8443"


class Target(unittest.TestCase):
    def test_https_is_followed_anywhere_but_to_the_gateway(self):
        for location, follows in (
            ("https://s3.example.net/b/k?X-Amz-Signature=0", True),
            ("https://S3.example.net:9000/b/k", True),
            ("http://s3.example.net/b/k", False),
            ("ftp://s3.example.net/b/k", False),
            ("//s3.example.net/b/k", False),
            ("/b/k", False),
            ("", False),
            ("https://", False),
            ("https://s3.example.net:port/b/k", False),
            ("https://[::1/b/k", False),
            ("https://key:secret@s3.example.net/b/k", False),
            ("https://key@s3.example.net/b/k", False),
            ("https://s3.example.net/b/k#fragment", False),
            ("https://gw.example.com/b/k", False),
            ("https://GW.example.com:9000/b/k", False),
            ("https://bucket.gw.example.com/k", False),
            ("https://example.com/b/k", False),
            ("https://notgw.example.com/b/k", True),
        ):
            with self.subTest(location):
                self.check(location, None, follows)

    def test_named_storage_alone_is_followed(self):
        allowed = frozenset(map(origin, ["https://s3.example.net", "http://127.0.0.1:9000"]))
        for location, follows in (
            ("https://s3.example.net/b/k", True),
            ("https://s3.example.net:443/b/k", True),
            ("http://127.0.0.1:9000/b/k", True),
            ("http://s3.example.net/b/k", False),
            ("https://s3.example.net:444/b/k", False),
            ("https://other.example.net/b/k", False),
            ("http://127.0.0.1:9001/b/k", False),
        ):
            with self.subTest(location):
                self.check(location, allowed, follows)

    def check(self, location, allowed, follows):
        if follows:
            self.assertEqual(target(location, GATEWAY, allowed).geturl().lower(), location.lower())
        else:
            with self.assertRaises(Refused):
                target(location, GATEWAY, allowed)

    def test_storage_is_named_by_a_url(self):
        for text in ("s3.example.com", "s3://bucket", "https://", ""):
            with self.subTest(text), self.assertRaises(ValueError):
                origin(text)


class Headers(unittest.TestCase):
    def signed(self, names, **sent):
        sent = {name.replace("_", "-"): value for name, value in sent.items()}
        return headers(urlsplit("https://s3/b/k?X-Amz-SignedHeaders=" + names.replace(";", "%3B")), sent)

    def test_storage_is_sent_what_is_signed_and_no_more(self):
        got = self.signed("content-length;host;x-amz-checksum-crc32;x-amz-date", Host="gw", Content_Length="5", X_Amz_Checksum_Crc32="NhCmhg==",
                          X_Amz_Date="now", Authorization="secret", X_Amz_Security_Token="secret", User_Agent="aws", amz_sdk_request="attempt=1",
                          X_Amz_Content_SHA256="UNSIGNED-PAYLOAD", x_partway_transfer="redirect", Cookie="secret")
        self.assertEqual(got, {"x-amz-checksum-crc32": "NhCmhg==", "x-amz-date": "now"})

    def test_no_secret_is_sent_though_it_is_signed(self):
        for name in ("authorization", "x-amz-security-token", "X-Amz-Security-Token", "cookie", "proxy-authorization"):
            with self.subTest(name), self.assertRaises(Refused):
                self.signed("host;" + name, **{name.replace("-", "_"): "secret"})

    def test_nothing_that_was_meant_is_lost(self):
        for name in ("Content-Type", "Content-MD5", "Cache-Control", "If-None-Match", "x-amz-meta-a", "x-amz-tagging", "x-amz-checksum-sha256"):
            with self.subTest(name), self.assertRaises(Refused):
                self.signed("host", **{name.replace("-", "_"): "value"})

    def test_nothing_is_invented(self):
        with self.assertRaises(Refused):
            self.signed("host;x-amz-acl")

    def test_signed_headers_are_named_once(self):
        for query in ("", "X-Amz-SignedHeaders=", "X-Amz-SignedHeaders=host&X-Amz-SignedHeaders=host"):
            with self.subTest(query), self.assertRaises(Refused):
                headers(urlsplit("https://s3/b/k?" + query), {})


if __name__ == "__main__":
    unittest.main()
