import assert from "node:assert/strict";
import { test } from "node:test";
import { Refused, headers, origin, target } from "../location.js";

const gateway = "gw.example.com";

function check(location, allowed, follows) {
  if (follows) assert.equal(target(location, gateway, allowed).href, new URL(location).href);
  else assert.throws(() => target(location, gateway, allowed), Refused, location);
}

test("https is followed anywhere but to the gateway", () => {
  for (const [location, follows] of [
    ["https://s3.example.net/b/k?X-Amz-Signature=0", true],
    ["https://S3.example.net:9000/b/k", true],
    ["http://s3.example.net/b/k", false],
    ["ftp://s3.example.net/b/k", false],
    ["//s3.example.net/b/k", false],
    ["/b/k", false],
    ["", false],
    ["https://", false],
    ["https://s3.example.net:port/b/k", false],
    ["https://[::1/b/k", false],
    ["https://key:secret@s3.example.net/b/k", false],
    ["https://key@s3.example.net/b/k", false],
    ["https://s3.example.net/b/k#fragment", false],
    ["https://gw.example.com/b/k", false],
    ["https://GW.example.com:9000/b/k", false],
    ["https://bucket.gw.example.com/k", false],
    ["https://example.com/b/k", false],
    ["https://notgw.example.com/b/k", true],
  ]) check(location, undefined, follows);
});

test("named storage alone is followed", () => {
  const allowed = new Set(["https://s3.example.net", "http://127.0.0.1:9000/"].map(origin));
  for (const [location, follows] of [
    ["https://s3.example.net/b/k", true],
    ["https://s3.example.net:443/b/k", true],
    ["http://127.0.0.1:9000/b/k", true],
    ["http://s3.example.net/b/k", false],
    ["https://s3.example.net:444/b/k", false],
    ["https://other.example.net/b/k", false],
    ["http://127.0.0.1:9001/b/k", false],
  ]) check(location, allowed, follows);
});

test("storage is named by a URL", () => {
  for (const text of ["s3.example.com", "s3://bucket", "https://", ""]) assert.throws(() => origin(text), TypeError, text);
});

const signed = (names, sent) => headers(new URL(`https://s3/b/k?X-Amz-SignedHeaders=${encodeURIComponent(names)}`), sent);

test("storage is sent what is signed and no more", () => {
  const got = signed("content-length;host;x-amz-checksum-crc32;x-amz-date", {
    host: "gw", "content-length": "5", "X-Amz-Checksum-Crc32": "NhCmhg==", "x-amz-date": "now", authorization: "secret", "x-amz-security-token": "secret",
    "user-agent": "aws", "amz-sdk-request": "attempt=1", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-partway-transfer": "redirect", cookie: "secret",
  });
  assert.deepEqual(got, { "x-amz-checksum-crc32": "NhCmhg==", "x-amz-date": "now" });
});

test("no secret is sent though it is signed", () => {
  for (const name of ["authorization", "x-amz-security-token", "X-Amz-Security-Token", "cookie", "proxy-authorization"]) {
    assert.throws(() => signed(`host;${name}`, { [name]: "secret" }), Refused, name);
  }
});

test("nothing that was meant is lost", () => {
  for (const name of ["Content-Type", "Content-MD5", "Cache-Control", "If-None-Match", "x-amz-meta-a", "x-amz-tagging", "x-amz-checksum-sha256"]) {
    assert.throws(() => signed("host", { [name]: "value" }), Refused, name);
  }
});

test("nothing is invented", () => {
  assert.throws(() => signed("host;x-amz-acl", {}), Refused);
});

test("signed headers are named once", () => {
  for (const query of ["", "X-Amz-SignedHeaders=", "X-Amz-SignedHeaders=host&X-Amz-SignedHeaders=host"]) {
    assert.throws(() => headers(new URL(`https://s3/b/k?${query}`), {}), Refused, query);
  }
});
