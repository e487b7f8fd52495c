// Package proxy is the S3 surface of the gateway.
//
// A request goes forward through these files, once:
//
//	gateway.go     the server, its life
//	serve.go       the order: parse, authenticate, authorise, handle, record, write
//	request.go     what was asked: bucket, key, query, head
//	operations.go  which S3 operation that is: one row each
//	create.go complete.go abort.go part.go parts.go uploads.go   multipart uploads
//	outcome.go                                                   what became of a Complete that nobody saw end
//	sweep.go intents.go                                          uploads that nobody will end
//	put.go object.go list.go bucket.go                           objects and buckets
//	decide.go      which road a body takes: relay, redirect or sign, and why
//	forward.go     a client's request made into a storage request: which headers go along, how the body is framed
//	exit.go        the one way out: the event is recorded, then the answer is written
//	errors.go      every refusal, and what the errors of other packages become
//	api.go tokens.go whoami.go  the JSON API under /_partway/
//	companion.go   Uppy's protocol under /_partway/s3/: calls that become S3 requests
//	cors.go        which web pages may call
//	sign.go landed.go requests that are signed for storage, and what came of them
//	pages.go       the uploader and the console
//
// Its neighbours: auth says who asks, tracking remembers, storage signs and calls, relay moves bodies, awschunked reads
// signed and trailing framing.
package proxy
