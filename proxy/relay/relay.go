// Package relay moves bodies between connections without holding them.
//
// fasthttp answers Expect: 100-continue and reads bodies before a handler runs. So Intake takes the body away from it:
// a handler decides with the head alone, and either answers (the connection then lingers, so that a client that
// is already sending can read the answer) or takes the connection over as an Exchange and pumps the body to storage, by
// splice(2) where both ends are plain TCP.
//
// The path of a connection: Listener.Accept -> fasthttp parses a head -> Intake -> handler -> answer, or
// Exchange.Put -> Exchange.Respond -> back to the Listener for the next request, or closed.
//
// The Listener owns all deadlines and counts. The package knows HTTP/1.1 framing and no S3.
//
// The fasthttp server must have HeaderReceived = Intake and KeepHijackedConns, and must leave ReadTimeout, WriteTimeout, IdleTimeout
// and MaxConnsPerIP at 0: it would lay its own over those of the Listener.
//
// From the wire inwards: socket (one TCP connection, its bytes, TLS) under Conn (one turn of it at fasthttp, its deadlines)
// under Exchange (one request whose body is relayed). On the other side link (one connection to storage) under Storage (its pool).
package relay

import "errors"

// Errors of Put. The connection to the client is unusable for a further request after each but ErrDial, and Respond closes it.
var (
	ErrDial     = errors.New("storage connection failed")          // storage has seen nothing of the request
	ErrStorage  = errors.New("storage connection broke")           // storage may have seen all or part of the request
	ErrClient   = errors.New("client did not send the whole body") // gone, too slow, or malformed framing; or an error of Request.Body, wrapped too
	ErrFraming  = errors.New("ambiguous request framing")          // of ParseHead
	ErrCanceled = errors.New("transfer cancelled")                 // the context of Put ended; its cause is wrapped too
)
