export interface Options {
  /**
   * Origins that bodies may be sent to, like "https://s3.example.com". Without it, any https host but the gateway's own; http is for those
   * that are named here.
   */
  storage?: string[];
}

/** Makes an S3Client send UploadPart and PutObject straight to storage. Returns the client; a second call changes nothing. */
export function install<Client>(client: Client, options?: Options): Client;
