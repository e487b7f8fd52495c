package agent

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/awschunked"
)

// Server is the loopback endpoint. Serve is called once.
type Server struct {
	client      *Client
	credentials Credentials
	log         *slog.Logger
	keys        sigv4.KeyCache
	memory      *room // of bodies that are kept
	disk        *room
	resumed     resumed
	http        http.Server
}

// NewCredentials makes a pair for one run.
func NewCredentials() Credentials {
	var secret [30]byte
	_, _ = rand.Read(secret[:]) // never fails
	return Credentials{AccessKeyID: "PWAY" + rand.Text()[:16], SecretAccessKey: base64.RawURLEncoding.EncodeToString(secret[:])}
}

// NewServer answers those who sign with the credentials.
func NewServer(c *Client, credentials Credentials, log *slog.Logger) *Server {
	s := &Server{client: c, credentials: credentials, log: log, memory: newRoom(keptInMemory), disk: newRoom(keptOnDisk)}
	s.http.Handler = s
	s.http.ReadHeaderTimeout = 30 * time.Second
	s.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	return s
}

// Listen opens a port that nobody but this machine can reach.
func Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil && host != "localhost" || ip != nil && !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not an address of this machine alone: listen on 127.0.0.1:PORT", address)
	}
	return net.Listen("tcp", address)
}

// Serve answers on l, which it owns, until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown lets requests finish until ctx ends, then cuts them.
func (s *Server) Shutdown(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // all that is left to do
	}
}

// ServeHTTP is the order of every request: proved, then sent by the shortest way that it can take.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chunks, err := s.prove(r)
	if err == nil {
		q := r.URL.Query()
		bucket, key, ok := locate(r)
		switch {
		case !ok:
			err = &Refusal{Status: 400, Code: "InvalidURI", Message: "Couldn't parse the specified URI."}
		case r.Method == http.MethodPut && key != "" && isBody(r, q):
			err = s.put(w, r, object{bucket, key, q.Get("uploadId"), q.Get("partNumber")}, chunks)
		case r.Method == http.MethodGet && key != "" && onlyXID(q) && !s.client.noGet.Load():
			err = s.get(w, r, object{bucket: bucket, key: key})
		case r.Method == http.MethodPost && key != "" && q.Has("uploads"):
			err = s.create(w, r, Object{bucket, key})
		default:
			err = s.pass(w, r, r.Body, r.ContentLength, nil)
		}
	}
	if err != nil {
		s.refuse(w, r, err)
	}
}

// object is what a request is about; of a part, the upload's id and the part's number too.
type object struct{ bucket, key, uploadID, partNumber string }

func locate(r *http.Request) (bucket, key string, ok bool) {
	if !strings.HasPrefix(r.RequestURI, "/") {
		return "", "", false
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return bucket, key, true
}

// isBody reports whether a PUT is an object or a part whose bytes it brings: no sub-resource and no copy.
func isBody(r *http.Request, q map[string][]string) bool {
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		return false
	}
	_, part := q["uploadId"]
	for name := range q {
		if name != "x-id" && (!part || name != "uploadId" && name != "partNumber") {
			return false
		}
	}
	return true
}

// onlyXID: x-id names the operation for the sake of logs.
func onlyXID(q map[string][]string) bool {
	_, has := q["x-id"]
	return len(q) == 0 || has && len(q) == 1
}

// refuse answers in S3's form. What may be better the next time is 503, which every S3 client tries again.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refusal := asRefusal(err)
	s.log.Debug("refused", "method", r.Method, "path", r.URL.Path, "code", refusal.Code, "error", err)
	body, _ := xml.Marshal(struct { // of strings
		XMLName                 xml.Name `xml:"Error"`
		Code, Message, Resource string
	}{Code: refusal.Code, Message: refusal.Message, Resource: r.URL.Path})
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	if refusal.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(refusal.Status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, xml.Header+string(body)) // a child that is gone needs no answer
	}
}

// asRefusal is what the child is told.
func asRefusal(err error) *Refusal {
	var refusal *Refusal
	unavailable := func(message string) *Refusal {
		return &Refusal{Status: 503, Code: "ServiceUnavailable", Message: message}
	}
	switch {
	case errors.Is(err, errBroke):
		return &Refusal{Status: 503, Code: "SlowDown", Message: "The transfer to storage broke off. Please send the body again."}
	case errors.Is(err, errAway):
		return unavailable("The gateway or its storage cannot be reached now. Please try again.")
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, awschunked.ErrSignature):
		return errSignature
	case errors.Is(err, awschunked.ErrChecksum):
		return &Refusal{Status: 400, Code: "BadDigest", Message: "The checksum you specified did not match what we received."}
	case errors.Is(err, awschunked.ErrTrailer):
		return &Refusal{Status: 400, Code: "MalformedTrailerError", Message: "The request contained trailing data that was not well-formed."}
	case errors.Is(err, awschunked.ErrFraming), errors.Is(err, awschunked.ErrLength), errors.Is(err, io.ErrUnexpectedEOF):
		return &Refusal{Status: 400, Code: "IncompleteBody", Message: "The request body terminated unexpectedly."}
	}
	return unavailable("Something went wrong between here and the gateway. Please try again.")
}
