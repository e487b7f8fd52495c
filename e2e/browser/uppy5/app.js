// A page with Uppy 5 as its manual has it: endpoint and headers, nothing of Partway's in it.
import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";

window.upload = async (files, endpoint, token) => {
  const uppy = new Uppy();
  uppy.use(AwsS3, { endpoint, headers: { authorization: `Bearer ${token}` }, shouldUseMultipart: (file) => file.size > 5 << 20 });
  for (const file of files) uppy.addFile({ name: file.name, type: file.type, data: file });
  const { successful, failed } = await uppy.upload();
  return { successful: successful.map((f) => f.response.body), failed: failed.map((f) => String(f.error)) };
};
