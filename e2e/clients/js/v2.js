// Everyday work with the JavaScript SDK v2: the managed upload, single calls, a multipart upload by hand, presigned URLs, lists
// and deletes.
//
// Usage: v2.js BUCKET PREFIX FILE, with the endpoint and the keys in AWS_*. FILE has 11 MiB or more. Leaves PREFIX/managed,
// PREFIX/small and PREFIX/by-hand for the caller to compare.
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1'
const assert = require('node:assert')
const fs = require('node:fs')
const AWS = require('aws-sdk')

const [Bucket, prefix, path] = process.argv.slice(2)
const content = fs.readFileSync(path)
const small = content.subarray(0, 1000)
// v2 knows no AWS_ENDPOINT_URL_S3.
const s3 = new AWS.S3({ endpoint: process.env.AWS_ENDPOINT_URL_S3, s3ForcePathStyle: true, signatureVersion: 'v4', region: process.env.AWS_REGION })

async function read (name) {
  return (await s3.getObject({ Bucket, Key: prefix + name }).promise()).Body
}

async function main () {
  await s3.upload({ Bucket, Key: prefix + 'managed', Body: fs.createReadStream(path), Metadata: { 'made-by': 'js' } }, { partSize: 5 << 20, queueSize: 3 }).promise()
  assert((await read('managed')).equals(content), 'managed')
  const head = await s3.headObject({ Bucket, Key: prefix + 'managed' }).promise()
  assert.deepStrictEqual(head.Metadata, { 'made-by': 'js' })
  assert.strictEqual(head.ContentEncoding, undefined)

  await s3.putObject({ Bucket, Key: prefix + 'small', Body: small }).promise()
  assert((await read('small')).equals(small), 'small')
  await s3.copyObject({ Bucket, Key: prefix + 'copy', CopySource: `${Bucket}/${prefix}small` }).promise()
  assert((await read('copy')).equals(small), 'copy')

  const target = { Bucket, Key: prefix + 'by-hand' }
  const { UploadId } = await s3.createMultipartUpload(target).promise()
  const Parts = []
  for (const [i, Body] of [content.subarray(0, 5 << 20), content.subarray(5 << 20)].entries()) {
    const { ETag } = await s3.uploadPart({ ...target, UploadId, PartNumber: i + 1, Body }).promise()
    Parts.push({ PartNumber: i + 1, ETag })
  }
  const listed = await s3.listParts({ ...target, UploadId }).promise()
  assert.deepStrictEqual(listed.Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })), Parts)
  await s3.completeMultipartUpload({ ...target, UploadId, MultipartUpload: { Parts } }).promise()
  assert((await read('by-hand')).equals(content), 'by-hand')

  const presigned = await fetch(s3.getSignedUrl('getObject', { Bucket, Key: prefix + 'small' }))
  assert(Buffer.from(await presigned.arrayBuffer()).equals(small), 'presigned GET')
  const put = await fetch(s3.getSignedUrl('putObject', { Bucket, Key: prefix + 'presigned' }), { method: 'PUT', body: small })
  assert.strictEqual(put.status, 200)
  assert((await read('presigned')).equals(small), 'presigned PUT')

  const { Contents } = await s3.listObjectsV2({ Bucket, Prefix: prefix }).promise()
  assert.deepStrictEqual(Contents.map(o => o.Key.slice(prefix.length)), ['by-hand', 'copy', 'managed', 'presigned', 'small'])
  const gone = await s3.deleteObjects({ Bucket, Delete: { Objects: [{ Key: prefix + 'copy' }, { Key: prefix + 'presigned' }] } }).promise()
  assert.strictEqual(gone.Deleted.length, 2)
  await assert.rejects(read('copy'), { code: 'NoSuchKey' })
  console.log(AWS.VERSION)
}

main().catch(error => { console.error(error); process.exit(1) })
