import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.*;

/**
 * Everyday work with the Java SDK v2: the synchronous client, the asynchronous one with its own multipart uploads, a multipart upload
 * by hand, lists and deletes.
 *
 * Usage: Work BUCKET PREFIX FILE, with the endpoint and the keys in AWS_*. FILE has 11 MiB or more. Leaves PREFIX/managed,
 * PREFIX/small and PREFIX/by-hand for the caller to compare.
 */
class Work {
  public static void main(String[] args) throws Exception {
    String bucket = args[0], prefix = args[1];
    Path path = Path.of(args[2]);
    byte[] content = Files.readAllBytes(path), small = Arrays.copyOf(content, 1000);
    URI endpoint = URI.create(System.getenv("AWS_ENDPOINT_URL_S3"));

    try (S3AsyncClient s3 = S3AsyncClient.builder().endpointOverride(endpoint).forcePathStyle(true).multipartEnabled(true)
        .multipartConfiguration(c -> c.minimumPartSizeInBytes(5L << 20).thresholdInBytes(5L << 20)).build()) {
      s3.putObject(r -> r.bucket(bucket).key(prefix + "managed").metadata(Map.of("made-by", "java")), AsyncRequestBody.fromFile(path)).join();
    }
    try (S3Client s3 = S3Client.builder().endpointOverride(endpoint).forcePathStyle(true).build()) {
      same(s3, bucket, prefix + "managed", content);
      HeadObjectResponse head = s3.headObject(r -> r.bucket(bucket).key(prefix + "managed"));
      check(head.metadata().equals(Map.of("made-by", "java")) && head.contentEncoding() == null, "HeadObject: " + head);

      s3.putObject(r -> r.bucket(bucket).key(prefix + "small"), RequestBody.fromBytes(small));
      same(s3, bucket, prefix + "small", small);
      s3.copyObject(r -> r.sourceBucket(bucket).sourceKey(prefix + "small").destinationBucket(bucket).destinationKey(prefix + "copy"));
      same(s3, bucket, prefix + "copy", small);

      String id = s3.createMultipartUpload(r -> r.bucket(bucket).key(prefix + "by-hand").checksumAlgorithm(ChecksumAlgorithm.CRC32)).uploadId();
      List<CompletedPart> parts = new ArrayList<>();
      for (byte[] body : List.of(Arrays.copyOf(content, 5 << 20), Arrays.copyOfRange(content, 5 << 20, content.length))) {
        int number = parts.size() + 1;
        UploadPartResponse part = s3.uploadPart(r -> r.bucket(bucket).key(prefix + "by-hand").uploadId(id).partNumber(number), RequestBody.fromBytes(body));
        parts.add(CompletedPart.builder().partNumber(number).eTag(part.eTag()).checksumCRC32(part.checksumCRC32()).build());
      }
      check(s3.listParts(r -> r.bucket(bucket).key(prefix + "by-hand").uploadId(id)).parts().size() == 2, "ListParts");
      s3.completeMultipartUpload(r -> r.bucket(bucket).key(prefix + "by-hand").uploadId(id).multipartUpload(m -> m.parts(parts)));
      same(s3, bucket, prefix + "by-hand", content);

      List<String> keys = s3.listObjectsV2Paginator(r -> r.bucket(bucket).prefix(prefix).maxKeys(2)).contents().stream().map(o -> o.key().substring(prefix.length())).toList();
      check(keys.equals(List.of("by-hand", "copy", "managed", "small")), "ListObjectsV2: " + keys);
      s3.deleteObjects(r -> r.bucket(bucket).delete(d -> d.objects(ObjectIdentifier.builder().key(prefix + "copy").build())));
      try {
        s3.getObject(r -> r.bucket(bucket).key(prefix + "copy")).close();
        check(false, "read a deleted object");
      } catch (NoSuchKeyException gone) {
        // as it should be
      }
    }
    System.out.println(VersionInfo.SDK_VERSION);
  }

  static void same(S3Client s3, String bucket, String key, byte[] want) {
    ResponseBytes<GetObjectResponse> got = s3.getObjectAsBytes(r -> r.bucket(bucket).key(key));
    check(Arrays.equals(got.asByteArrayUnsafe(), want), key + ": other bytes");
  }

  static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }
}
