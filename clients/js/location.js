// Which redirects are followed, and what storage is told. No I/O, nothing of the SDK.

// Never sent to storage, whatever the URL names: they prove to the gateway who the client is.
const secret = new Set(["authorization", "proxy-authorization", "cookie", "x-amz-security-token"]);

// What the library that sends the request sets itself.
const transport = new Set(["host", "content-length", "expect"]);

// Headers that are part of the object or of the condition to write it, beside x-amz-*. A redirect that would lose one is not followed.
const meant = new Set(["cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type",
  "expires", "if-match", "if-none-match"]);

// x-amz-* headers that speak to the gateway alone.
const spoken = new Set(["x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"]);

/** Why a redirect is not followed. */
export class Refused extends Error {}

/** Scheme, host and port of a URL; throws for what is none. */
export function origin(text) {
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw new TypeError(`not an http or https URL: ${text}`);
  return url.origin;
}

/**
 * The URL that a redirect from the gateway, a host name, leads to, or Refused. allowed: origins, undefined for any that speaks https.
 */
export function target(location, gateway, allowed) {
  let url;
  try {
    origin(location);
    url = new URL(location);
  } catch {
    throw new Refused("its Location is not an http or https URL");
  }
  if (url.username || url.password || url.hash) throw new Refused("its Location is no presigned URL");
  if (sameSite(url.hostname, gateway)) throw new Refused(`it leads to the gateway itself, ${url.hostname}`);
  if (!allowed && url.protocol !== "https:") throw new Refused(`${url.origin} is not https, nor named as storage`);
  if (allowed && !allowed.has(url.origin)) throw new Refused(`${url.origin} is not named as storage`);
  return url;
}

/**
 * The headers for storage, of those that the gateway was sent: what the URL has signed and no more. Refused if that would not be the same
 * request.
 */
export function headers(url, sent) {
  const named = url.searchParams.getAll("X-Amz-SignedHeaders");
  if (named.length !== 1) throw new Refused("its Location names no signed headers");
  const signed = new Set(named[0].toLowerCase().split(";"));
  const have = new Map(Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value]));
  const there = {};
  for (const name of signed) {
    if (secret.has(name)) throw new Refused(`it asks for ${name}`);
    if (transport.has(name)) continue;
    if (!have.has(name)) throw new Refused(`it asks for ${name}, which the request does not have`);
    there[name] = have.get(name);
  }
  for (const name of have.keys()) {
    if (isMeant(name) && !signed.has(name)) throw new Refused(`it would lose ${name}`);
  }
  return there;
}

function isMeant(name) {
  return meant.has(name) || (name.startsWith("x-amz-") && !spoken.has(name));
}

// One is the other or lies below it: with virtual hosts the gateway has names below its own.
function sameSite(a, b) {
  a = a.toLowerCase();
  b = b.toLowerCase();
  return a === b || a.endsWith(`.${b}`) || b.endsWith(`.${a}`);
}
