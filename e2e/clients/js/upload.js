// Uploads one file with lib-storage, part by part, so that it can be killed and started again.
//
// Usage: upload.js BUCKET KEY FILE, with the endpoint and the keys in AWS_*.
const fs = require('node:fs')
const { S3Client } = require('@aws-sdk/client-s3')
const { Upload } = require('@aws-sdk/lib-storage')

const [Bucket, Key, path] = process.argv.slice(2)
const client = new S3Client({ forcePathStyle: true })
new Upload({ client, partSize: 5 << 20, queueSize: 3, params: { Bucket, Key, Body: fs.createReadStream(path) } }).done().catch(err => {
  console.error(err)
  process.exit(1)
})
