// Everyday work with the JavaScript SDK v3: lib-storage's Upload, single calls, a multipart upload by hand, lists and deletes.
//
// Usage: v3.js BUCKET PREFIX FILE, with the endpoint and the keys in AWS_*. FILE has 11 MiB or more. Leaves PREFIX/managed,
// PREFIX/small and PREFIX/by-hand for the caller to compare.
const assert = require('node:assert')
const fs = require('node:fs')
const {
  S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand, CopyObjectCommand, CreateMultipartUploadCommand, UploadPartCommand,
  ListPartsCommand, CompleteMultipartUploadCommand, AbortMultipartUploadCommand, DeleteObjectsCommand, paginateListObjectsV2
} = require('@aws-sdk/client-s3')
const { Upload } = require('@aws-sdk/lib-storage')

const [Bucket, prefix, path] = process.argv.slice(2)
const content = fs.readFileSync(path)
const small = content.subarray(0, 1000)
const s3 = new S3Client({ forcePathStyle: true })

async function read (name) {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: prefix + name }))
  return Buffer.from(await Body.transformToByteArray())
}

async function main () {
  const parts = { client: s3, partSize: 5 << 20, queueSize: 3 }
  await new Upload({ ...parts, params: { Bucket, Key: prefix + 'managed', Body: fs.createReadStream(path), Metadata: { 'made-by': 'js' } } }).done()
  assert((await read('managed')).equals(content), 'managed')
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: prefix + 'managed' }))
  assert.deepStrictEqual(head.Metadata, { 'made-by': 'js' })
  assert.strictEqual(head.ContentEncoding, undefined)

  await s3.send(new PutObjectCommand({ Bucket, Key: prefix + 'small', Body: small }))
  assert((await read('small')).equals(small), 'small')
  await s3.send(new PutObjectCommand({ Bucket, Key: prefix + 'stream', Body: fs.createReadStream(path), ContentLength: content.length }))
  assert((await read('stream')).equals(content), 'stream')
  await s3.send(new CopyObjectCommand({ Bucket, Key: prefix + 'copy', CopySource: `${Bucket}/${prefix}small` }))
  assert((await read('copy')).equals(small), 'copy')

  const target = { Bucket, Key: prefix + 'by-hand' }
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target))
  const Parts = []
  for (const [i, Body] of [content.subarray(0, 5 << 20), content.subarray(5 << 20)].entries()) {
    const { ETag } = await s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: i + 1, Body }))
    Parts.push({ PartNumber: i + 1, ETag })
  }
  const listed = await s3.send(new ListPartsCommand({ ...target, UploadId }))
  assert.deepStrictEqual(listed.Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })), Parts)
  await s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }))
  assert((await read('by-hand')).equals(content), 'by-hand')
  const left = await s3.send(new CreateMultipartUploadCommand(target))
  await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId: left.UploadId }))

  const keys = []
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: prefix })) {
    keys.push(...page.Contents.map(o => o.Key.slice(prefix.length)))
  }
  assert.deepStrictEqual(keys, ['by-hand', 'copy', 'managed', 'small', 'stream'])
  const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: prefix + 'copy' }, { Key: prefix + 'stream' }] } }))
  assert.strictEqual(gone.Deleted.length, 2)
  await assert.rejects(read('copy'), { name: 'NoSuchKey' })
  console.log(require('@aws-sdk/client-s3/package.json').version)
}

main().catch(error => { console.error(error); process.exit(1) })
