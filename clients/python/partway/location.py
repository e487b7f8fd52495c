"""Which redirects are followed, and what storage is told. No I/O, nothing of botocore."""
from urllib.parse import parse_qs, urlsplit

# Never sent to storage, whatever the URL names: they prove to the gateway who the client is.
SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "x-amz-security-token"})

# What the library that sends the request sets itself.
TRANSPORT = frozenset({"host", "content-length", "expect"})

# Headers that are part of the object or of the condition to write it, beside x-amz-*. A redirect that would lose one is not followed.
MEANT = frozenset({"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
                   "if-match", "if-none-match"})

# x-amz-* headers that speak to the gateway alone.
SPOKEN = frozenset({"x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"})


class Refused(Exception):
    """Why a redirect is not followed."""


def origin(url):
    """(scheme, host, port) of a URL; ValueError for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http or https URL: %s" % url)
    return parts.scheme, parts.hostname.lower(), parts.port or {"http": 80, "https": 443}[parts.scheme]


def target(location, gateway, allowed=None):
    """The parts of the Location of a redirect from the gateway, a URL, or Refused. allowed: origins, None for any that speaks https."""
    try:
        url = urlsplit(location)
        there = origin(location)
    except ValueError:
        raise Refused("its Location is not an http or https URL") from None
    if url.username is not None or url.password is not None or url.fragment:
        raise Refused("its Location is no presigned URL")
    here = origin(gateway)[1]
    if _same_site(there[1], here):
        raise Refused("it leads to the gateway itself, %s" % there[1])
    if allowed is None and there[0] != "https":
        raise Refused("%s://%s:%d is not https, nor named as storage" % there)
    if allowed is not None and there not in allowed:
        raise Refused("%s://%s:%d is not named as storage" % there)
    return url


def headers(url, sent):
    """The headers for storage, of those that the gateway was sent: what the URL has signed and no more. Refused if that would not be the
    same request."""
    named = parse_qs(url.query).get("X-Amz-SignedHeaders", [])
    if len(named) != 1:
        raise Refused("its Location names no signed headers")
    signed = frozenset(named[0].lower().split(";"))
    secrets = sorted(signed & SECRET)
    if secrets:
        raise Refused("it asks for %s" % ", ".join(secrets))
    have = {name.lower(): value for name, value in sent.items()}
    lacking = sorted(signed - TRANSPORT - have.keys())
    if lacking:
        raise Refused("it asks for %s, which the request does not have" % ", ".join(lacking))
    lost = sorted(name for name in have if _meant(name) and name not in signed)
    if lost:
        raise Refused("it would lose %s" % ", ".join(lost))
    return {name: have[name] for name in signed - TRANSPORT}


def _meant(name):
    return name in MEANT or name.startswith("x-amz-") and name not in SPOKEN


def _same_site(a, b):
    """One is the other or lies below it: with virtual hosts the gateway has names below its own."""
    return a == b or a.endswith("." + b) or b.endswith("." + a)
