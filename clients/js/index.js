// Lets an S3Client of @aws-sdk/client-s3 send UploadPart and PutObject past a Partway gateway, straight to storage.
//
// The gateway answers such a request with 307 and a presigned URL before the body is sent; the SDK does not follow that. With this module it
// does, once per attempt, with the client's own request handler, and sends storage nothing but the body and the headers that the URL has
// signed. What cannot go that way goes through the gateway: streams, which cannot be read again, and every redirect that is refused.
//
// location.js: which URLs are followed, and with which headers.
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { Refused, headers, origin, target } from "./location.js";

const commands = new Set(["UploadPartCommand", "PutObjectCommand"]);

// How long storage that could not be reached is left alone, in milliseconds.
const pause = 5 * 60_000;

// How long a body is held back for an answer to Expect, in milliseconds.
const patience = 1000;

/**
 * Makes an S3Client send UploadPart and PutObject straight to storage. Returns the client; a second call changes nothing.
 *
 * options.storage: the origins that bodies may be sent to, like ["https://s3.example.com"]. Without it, any https host but the gateway's
 * own. http is for those that are named here.
 */
export function install(client, { storage } = {}) {
  const handler = client.config.requestHandler;
  // fetch follows redirects by itself, with all headers that it has.
  if (typeof handler.constructor.checkSocketUsage !== "function") throw new TypeError("partway: the client needs a NodeHttpHandler");
  const allowed = storage && new Set(storage.map(origin));
  const only = (make) => (next, context) => (commands.has(context.commandName) ? make(next, context) : next);
  // Before each attempt is signed, and behind where presigned URLs are made.
  client.middlewareStack.addRelativeTo(only(plain), { relation: "before", toMiddleware: "retryMiddleware", name: "partwayPlain", override: true });
  // The last, so that what follows it is the request handler alone.
  client.middlewareStack.add(only(direct(handler, allowed)), { step: "deserialize", priority: "low", name: "partwayDirect", override: true });
  return client;
}

// A body that can be sent again is not bound by its SHA-256, which a presigned URL cannot have: its checksum is, or an MD5.
const plain = (next) => (args) => {
  const { headers: h, body } = args.request;
  if (isBytes(body)) {
    h["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
    if (!Object.keys(h).some((name) => /^(content-md5|x-amz-checksum-.*)$/i.test(name))) {
      h["content-md5"] = createHash("md5").update(body).digest("base64");
    }
  }
  return next(args);
};

// Inside of the SDK's retries: each attempt asks the gateway, and gets a URL of its own.
const direct = (handler, allowed) => {
  let relayUntil = 0;

  // Resolves to storage's answer; to nothing if the relay has to be asked for.
  async function follow(next, args, location, warn) {
    const { request } = args;
    let there;
    try {
      const url = target(location, request.hostname, allowed);
      there = {
        ...request, protocol: url.protocol, hostname: url.hostname, port: url.port ? Number(url.port) : undefined,
        path: location.slice(location.indexOf("/", url.protocol.length + 2)), query: {}, // as it was signed, not as it would be written here
        headers: { ...headers(url, request.headers), host: url.host, "content-length": request.headers["content-length"], expect: "100-continue" },
      };
    } catch (why) {
      if (!(why instanceof Refused)) throw why;
      warn(`redirect not followed: ${why.message}`);
      return undefined;
    }
    let answer;
    try {
      answer = await send(next, { ...args, request: there });
    } catch (why) {
      if (!unreachable(why)) throw why; // the body may have been on its way: the SDK's to try again
      relayUntil = Date.now() + pause;
      warn(`storage cannot be reached: ${why.message}`);
      return undefined;
    }
    const { statusCode } = answer.response;
    if (statusCode !== 403 && (statusCode < 300 || statusCode >= 400)) return answer;
    answer.response.body.resume();
    warn(`storage answered ${statusCode}`);
    return undefined;
  }

  async function send(next, args) {
    const { body } = args.request;
    // With an agent that is the caller's own, the SDK does not wait for an answer to Expect.
    if (!handler.externalAgent) return next(args);
    const held = new Held(typeof body === "string" ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength));
    try {
      return await next({ ...args, request: { ...args.request, body: held } });
    } finally {
      held.destroy();
    }
  }

  return (next, context) => async (args) => {
    const { request } = args;
    const warn = (what) => (context.logger ?? console).warn(`partway: ${what}; asking for the relay`);
    if (!isBytes(request.body) || Date.now() < relayUntil) {
      request.headers["x-partway-transfer"] = "relay";
      return next(args);
    }
    request.headers["x-partway-transfer"] = "redirect";
    request.headers.expect = "100-continue";
    const answer = await send(next, args);
    const { statusCode, headers: h, body } = answer.response;
    if (statusCode !== 307 || !h["x-partway-transfer"]?.startsWith("redirect")) return answer;
    body.resume();
    const stored = await follow(next, args, h.location ?? "", warn);
    if (stored) return stored;
    request.headers["x-partway-transfer"] = "relay";
    return next(args);
  };
};

// A body that waits for 100 Continue, or until the server has not answered for a while.
class Held extends Readable {
  #bytes;
  #released = false;
  #timer = setTimeout(() => this.#release(), patience);

  constructor(bytes) {
    super();
    this.#bytes = bytes;
  }

  pipe(request, options) {
    request.once("continue", () => this.#release());
    return super.pipe(request, options);
  }

  _read() {
    if (!this.#released || !this.#bytes) return;
    const bytes = this.#bytes;
    this.#bytes = undefined;
    this.push(bytes);
    this.push(null);
  }

  _destroy(why, done) {
    clearTimeout(this.#timer);
    done(why);
  }

  #release() {
    clearTimeout(this.#timer);
    this.#released = true;
    this._read();
  }
}

// Bytes in memory can be sent again; an empty body gains nothing by another road.
function isBytes(body) {
  return (ArrayBuffer.isView(body) || (typeof body === "string")) && body.length > 0;
}

// No connection was made, so no byte of the body left.
function unreachable({ syscall, code = "" }) {
  return syscall === "connect" || syscall === "getaddrinfo" || /^(ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code);
}
