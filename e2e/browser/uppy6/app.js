// A page with Uppy 6: signRequest, as docs/browser.md has it. Parts go to storage by signed URLs; what makes, completes, lists and ends an upload goes to
// the gateway.
import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";

window.upload = async (files, gateway, token, bucket, prefix) => {
  const Authorization = `Bearer ${token}`;

  const signRequest = async ({ method, key, uploadId, partNumber }) => {
    if (method === "PUT" && uploadId) {
      const response = await fetch(`${gateway}/_partway/sign`, {
        method: "POST",
        headers: { Authorization, "Content-Type": "application/json" },
        body: JSON.stringify({ bucket, key, upload_id: uploadId, parts: [{ part_number: partNumber }] }),
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.message);
      const { url, headers } = answer.requests[0];
      return { url, headers };
    }
    const url = new URL(`${gateway}/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`);
    if (uploadId) url.searchParams.set("uploadId", uploadId);
    else if (method === "POST") url.searchParams.set("uploads", "");
    return { url: url.href, headers: { Authorization } };
  };

  const uppy = new Uppy();
  uppy.use(AwsS3, { signRequest, shouldUseMultipart: true, generateObjectKey: (file) => prefix + file.name });
  for (const file of files) uppy.addFile({ name: file.name, type: file.type, data: file });
  const { successful, failed } = await uppy.upload();
  return { successful: successful.map((f) => f.response.body ?? f.response), failed: failed.map((f) => String(f.error?.message ?? f.error)) };
};
