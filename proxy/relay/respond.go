package relay

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// Respond writes an answer to the client, then gives the connection back to its Listener, or closes it (lingering) if the body was
// not read to its end, if a 100 Continue that was asked for never came, or if close is set. Content-Length, Connection and, if it is
// missing, Date are added.
func (x *Exchange) Respond(status int, headers []sigv4.Header, body []byte, close bool) error {
	if x.done {
		return errors.New("the client has its answer already")
	}
	x.done = true
	// An empty body needs no 100 Continue (RFC 9110, section 10.1.1), but botocore takes the next answer on a connection without
	// it for a part of this one, and waits for more until it times out.
	keep := x.body.ended && (x.continued || !x.Head.Expect) && !close && !x.close && x.conn.socket.listener.keeps()
	b, err := x.answer(status, headers, body, keep)
	if err == nil {
		if _, err = x.conn.Write(b); err != nil {
			err = fmt.Errorf("answering the client: %w", err)
		}
	}
	if err == nil && keep {
		x.conn.socket.tellBytes()
		x.conn.socket.listener.offer(newConn(x.conn.socket, x.conn.Conn, x.conn.pre))
		return nil
	}
	if err == nil && !x.body.ended {
		x.conn.Linger()
	}
	_ = x.conn.Close()
	return err
}

// Abandon closes the connection without an answer.
func (x *Exchange) Abandon() {
	x.done = true
	_ = x.conn.Close()
}

func (x *Exchange) answer(status int, headers []sigv4.Header, body []byte, keep bool) ([]byte, error) {
	b := fmt.Appendf(make([]byte, 0, 512+len(body)), "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	dated := false
	for _, f := range headers {
		if !isToken(f.Name) || !isFieldValue(f.Value) {
			return nil, fmt.Errorf("header %q cannot be sent", f.Name)
		}
		switch name := strings.ToLower(f.Name); name {
		case "content-length", "transfer-encoding", "connection":
			continue
		case "date":
			dated = true
		}
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	if !dated {
		b = append(time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat), "\r\n"...)
	}
	switch {
	case !keep:
		b = append(b, "Connection: close\r\n"...)
	case x.http10:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	if status == http.StatusNoContent || status == http.StatusNotModified { // RFC 9110, section 8.6
		return append(b, "\r\n"...), nil
	}
	return append(fmt.Appendf(b, "Content-Length: %d\r\n\r\n", len(body)), body...), nil
}
