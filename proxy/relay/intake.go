package relay

import "github.com/valyala/fasthttp"

// Intake is fasthttp's Server.HeaderReceived: it hides Expect, Content-Length and Transfer-Encoding of every PUT, and of
// every request with ambiguous framing, so that fasthttp neither answers 100 nor reads a body. The handler finds them
// again by ParseHead of RawHeaders, which stay as they were, and must linger and close after such a request whose body it
// did not take over: fasthttp would read that body as the next request.
func Intake(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if _, err := ParseHead(h.RawHeaders()); err != nil || h.IsPut() {
		h.Del(fasthttp.HeaderExpect)
		h.Del(fasthttp.HeaderTransferEncoding)
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}
