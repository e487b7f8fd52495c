/** What went wrong, by S3's code or one of the page's own: Network, FileChanged, FileMissing, AnotherTab, NotWhole, Internal. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly requestId = "",
    readonly retryAfter = 0,
  ) {
    super(message);
  }
}

const sentences: Record<string, string> = {
  ExpiredToken: "Your token has expired. Sign in with a new one: what has landed stays, and the upload goes on from there.",
  InvalidToken: "Your token was revoked. Sign in with another one: what has landed stays, and the upload goes on from there.",
  InvalidAccessKeyId: "This is no token of this gateway. Paste a bearer token, as `partway token issue --class bearer` prints it.",
  NoSuchUpload: "This upload has been ended elsewhere: it was aborted, it completed, or it was swept up after its time. Start it again.",
  NoSuchBucket: "The bucket that your token names does not exist. Whoever issued the token has to look at this.",
  SlowDown: "The gateway asks to go slower.",
  ServiceUnavailable: "The gateway or its storage is not available right now.",
  InternalError: "The gateway could not do this, for a reason of its own. Its log knows more, under the request id.",
  PreconditionFailed: "There is a file of this name already, and your token may not replace it. Choose another name.",
  BadDigest: "Storage received other bytes than this page read. The part was not kept.",
  OperationAborted: "Somebody else is completing or ending this upload right now. Try again in a moment.",
  Network: "The network is not there, or the gateway is not.",
  FileChanged: "The file was changed, moved or closed to this page since you chose it. Choose it again.",
  FileMissing: "This page needs the file again to go on.",
  OtherFile: "This is another file than the one whose upload was begun: its name, size or bytes differ.",
  AnotherTab: "Another tab is uploading this file.",
  NotWhole: "The object that storage put together does not have the checksum of the file. Do not rely on it; upload the file again.",
  Cors: "Storage does not let this page send to it: its bucket has no CORS rule for this page, or it cannot be reached. `partway doctor` shows the rule.",
};

/** One sentence for people. Refusals that the gateway words for its caller (what a token allows, which limit was passed) are shown in its words. */
export function sentence(error: unknown): string {
  if (!(error instanceof Failure)) return error instanceof Error ? error.message : String(error);
  if (error.code === "AccessDenied") return "Your token does not allow this. " + error.message;
  return sentences[error.code] ?? error.message;
}

/** Whether only another token helps. */
export const needsToken = (error: unknown): boolean =>
  error instanceof Failure && ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"].includes(error.code);
