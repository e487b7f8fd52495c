package relay

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
)

const (
	answerBody = 1 << 20 // longest body of an answer
	answerHead = 1 << 20 // all heads of one answer, interim ones too
	// answerBuffer is held for as long as a connection to storage lives, and the answer to a PUT fits.
	answerBuffer = 1 << 10
)

// Answer is what storage said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most 1 MiB
	Sent   int64  // bytes of the body that were taken from the client
	Early  bool   // storage answered before it had the whole body
}

// readAnswer reads one answer to a request of method. It calls proceed at each 100 Continue and skips the other interim answers.
// last reports that the connection ends with this answer.
func readAnswer(r *bufio.Reader, method string, proceed func()) (a *Answer, last bool, err error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method}) //nolint:bodyclose // it is read to its end, or the connection is closed
		if err != nil {
			return nil, true, fmt.Errorf("reading the answer: %w", err)
		}
		switch {
		case resp.StatusCode == http.StatusContinue:
			proceed()
			continue
		case resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode < 100:
			return nil, true, fmt.Errorf("storage answered %d", resp.StatusCode)
		case resp.StatusCode < 200:
			continue
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, answerBody+1))
		if err != nil {
			return nil, true, fmt.Errorf("reading the answer's body: %w", err)
		}
		if len(body) > answerBody {
			return nil, true, fmt.Errorf("answer's body exceeds %d bytes", answerBody)
		}
		return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, resp.Close, nil
	}
}
