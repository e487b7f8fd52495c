// Uploads with the JavaScript SDK v3 and Partway's shim, and says what came of each. The usage is shim.py's.
// SHIM_AGENT=1: with agents of its own, as programs behind a proxy have.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { install } from "../../../clients/js/index.js";

const require = createRequire(import.meta.url); // finds modules in NODE_PATH, which import does not
const {
  S3Client, PutObjectCommand, HeadObjectCommand, CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand,
} = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");

const [work, Bucket, keys, path] = process.argv.slice(2);
const storage = process.env.SHIM_STORAGE?.split(",");
const timeout = { requestTimeout: Number(process.env.SHIM_TIMEOUT ?? 60) * 1000, throwOnRequestTimeout: true };
const agents = process.env.SHIM_AGENT && { httpAgent: new http.Agent({ keepAlive: true }), httpsAgent: new https.Agent({ keepAlive: true }) };
const s3 = install(new S3Client({ forcePathStyle: true, logger: { ...console, debug() {}, info() {}, trace() {}, warn: console.error }, requestHandler: { ...timeout, ...agents } }), { storage });
install(s3, { storage }); // again: it must change nothing
const about = { ContentType: "text/x-test", Metadata: { "made-by": "shim" }, CacheControl: "max-age=7" };
const content = fs.readFileSync(path);

async function upload(Key) {
  const target = { Bucket, Key };
  switch (work) {
    case "managed":
      await new Upload({ client: s3, params: { ...target, ...about, Body: fs.createReadStream(path) }, partSize: 8 << 20, queueSize: 4 }).done();
      return (await s3.send(new HeadObjectCommand(target))).ETag;
    case "put":
      return (await s3.send(new PutObjectCommand({ ...target, ...about, Body: content.subarray(1000) }))).ETag;
    case "pipe":
      return (await s3.send(new PutObjectCommand({ ...target, ...about, Body: fs.createReadStream(path), ContentLength: content.length }))).ETag;
  }
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...target, ...about }));
  const half = content.length / 2;
  const Parts = [];
  for (const [i, Body] of [content.subarray(0, half), content.subarray(half)].entries()) {
    const { ETag } = await s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: i + 1, Body }));
    Parts.push({ PartNumber: i + 1, ETag });
  }
  return (await s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }))).ETag;
}

for (const key of keys.split(",")) {
  try {
    console.log(JSON.stringify({ key, etag: await upload(key) }));
  } catch (e) {
    console.log(JSON.stringify({ key, error: String(e) }));
  }
}
