// Package agent brings the direct road to stock S3 clients: a loopback S3 endpoint beside the client, which asks the gateway for a signed
// request per body and sends the bytes to storage itself. It is what `partway exec`, `partway agent` and `partway cp` are made of.
//
//	token.go     the bearer that proves the tenant to the gateway
//	gateway.go report.go  calls to the gateway: signed requests, reports of what landed
//	storage.go   a signed request and its body, sent to storage
//	calls.go     single S3 calls, for what follows
//	upload.go download.go  a file up or down in parallel parts, for `partway cp`
//
//	server.go    the endpoint: each request is proved (proof.go), then put directly (put.go), got directly (get.go) or passed on (pass.go)
//	body.go      how a child's body comes, and how it is verified on the way
//	keep.go      a body that is read before it is sent
//	resume.go    parts of an interrupted upload that need not travel again
//
// Three parties, three proofs, none of which reaches another: the child signs with credentials of this run alone; the gateway is shown the
// bearer; storage is shown a signed URL, and only at hosts that the gateway named.
//
// It imports nothing of the gateway but its algorithms: auth/sigv4 and proxy/awschunked.
package agent
