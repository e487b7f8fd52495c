package awschunked

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// splits are the ways in which a body may arrive.
var splits = map[string]func(io.Reader) io.Reader{
	"whole":      func(r io.Reader) io.Reader { return r },
	"byte-wise":  iotest.OneByteReader,
	"halved":     iotest.HalfReader,
	"EOF early":  iotest.DataErrReader,
	"EOF 1 byte": func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
}

// pattern is data in which neighbours differ.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestReaderDecodes(t *testing.T) {
	for _, size := range []int{0, 1, 2, 100, 4096, 70000} {
		for _, chunk := range []int{1, 3, 1000, 65536} {
			if size/chunk > 5000 {
				continue
			}
			data := pattern(size)
			for name := range algorithms {
				body := unsigned(data, chunk, sumTrailer(name, data))
				for split, cut := range splits {
					if name != "x-amz-checksum-crc32" && split != "whole" {
						continue // how a body arrives is no matter of the algorithm
					}
					r := NewReader(cut(bytes.NewReader(body)), Options{Length: int64(size), Trailer: strings.ToUpper(name)})
					got, err := io.ReadAll(r)
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("%d bytes in chunks of %d, %s, %s: %d bytes, %v", size, chunk, name, split, len(got), err)
					}
					if want := sumTrailer(name, data); name+":"+r.value != want {
						t.Fatalf("trailer %q, want %s", r.value, want)
					}
				}
			}
		}
	}
}

// The check values of the CRC catalogue, for "123456789".
func TestChecksumAlgorithms(t *testing.T) {
	for name, want := range map[string]string{
		"x-amz-checksum-crc32":     "cbf43926",
		"x-amz-checksum-crc32c":    "e3069283",
		"x-amz-checksum-crc64nvme": "ae8b14860a799888",
		"x-amz-checksum-sha1":      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		"x-amz-checksum-sha256":    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := algorithms[name]()
		h.Write([]byte("123456789"))
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

var crc32Trailer = Options{Length: 5, Trailer: "x-amz-checksum-crc32"}

// hello is the CRC-32 trailer of "hello".
const hello = "x-amz-checksum-crc32:NhCmhg=="

func TestAcceptedForms(t *testing.T) {
	for name, body := range map[string]string{
		"plain":                  "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n",
		"leading zeros":          "0000000000000005\r\nhello\r\n00\r\n" + hello + "\r\n\r\n",
		"many chunks":            "1\r\nh\r\n4\r\nello\r\n0\r\n" + hello + "\r\n\r\n",
		"chunk extension":        "5;a=b\r\nhello\r\n0;c\r\n" + hello + "\r\n\r\n",
		"minio-go's line ends":   "5\r\nhello\r\n0\r\n" + hello + "\n\r\n\r\n",
		"trailer in other case":  "5\r\nhello\r\n0\r\nX-Amz-Checksum-Crc32: NhCmhg== \r\n\r\n",
		"longest extension line": "5;" + strings.Repeat("x", maxLine-4) + "\r\nhello\r\n0\r\n" + hello + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for split, cut := range splits {
				got, err := io.ReadAll(NewReader(cut(strings.NewReader(body)), crc32Trailer))
				if string(got) != "hello" || err != nil {
					t.Errorf("Reader, %s: %q, %v", split, got, err)
				}
				got, err = io.ReadAll(NewWalker(cut(strings.NewReader(body)), crc32Trailer))
				if string(got) != body || err != nil {
					t.Errorf("Walker, %s: %q, %v", split, got, err)
				}
			}
		})
	}
}

func TestRefusedForms(t *testing.T) {
	good := "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n"
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"empty", "", ErrFraming},
		{"no framing at all", "hello", ErrFraming},
		{"no digits", "\r\nhello\r\n", ErrFraming},
		{"signed size", "+5\r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"negative size", "-5\r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"size with prefix", "0x5\r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"size with underscore", "0_5\r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"size with space", "5 \r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"17 digits", "00000000000000005\r\nhello\r\n", ErrFraming},
		{"size beyond int64", "ffffffffffffffff\r\nhello\r\n", ErrFraming},
		{"size line ends with LF", "5\nhello\r\n0\r\n" + hello + "\r\n\r\n", ErrFraming},
		{"line too long", strings.Replace(good, "5", "5;"+strings.Repeat("x", maxLine-3), 1), ErrFraming},
		{"endless line", strings.Repeat("1", 1<<20), ErrFraming},
		{"no CRLF behind a chunk", "5\r\nhello0\r\n" + hello + "\r\n\r\n", ErrFraming},
		{"LF behind a chunk", "5\r\nhello\n0\r\n" + hello + "\r\n\r\n", ErrFraming},
		{"more than declared", "6\r\nhello!\r\n0\r\n\r\n", ErrLength},
		{"more than declared in two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", ErrLength},
		{"more than declared, and no such data", "6\r\nhello\r\n0\r\n\r\n", ErrFraming},
		{"less than declared", "4\r\nhell\r\n0\r\n" + hello + "\r\n\r\n", ErrLength},
		{"trailer missing", "5\r\nhello\r\n0\r\n\r\n", ErrTrailer},
		{"trailer twice", "5\r\nhello\r\n0\r\n" + hello + "\r\n" + hello + "\r\n\r\n", ErrFraming},
		{"another trailer", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:NhCmhg==\r\n\r\n", ErrTrailer},
		{"a trailer besides", "5\r\nhello\r\n0\r\n" + hello + "\r\nx-amz-meta-a:b\r\n\r\n", ErrFraming},
		{"trailer signature in the unsigned form", "5\r\nhello\r\n0\r\n" + hello + "\r\nx-amz-trailer-signature:00\r\n\r\n", ErrFraming},
		{"trailer without colon", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", ErrTrailer},
		{"no empty line at the end", "5\r\nhello\r\n0\r\n" + hello + "\r\n", ErrFraming},
		{"bare LF at the end", "5\r\nhello\r\n0\r\n" + hello + "\r\n\n", ErrFraming},
		{"bytes behind the end", good + "x", ErrFraming},
		{"half a line behind the end", good + "\r", ErrFraming},
		{"two empty lines behind the end", good + "\r\n\r\n", ErrFraming},
		{"a second body behind the end", good + good, ErrFraming},
	} {
		t.Run(c.name, func(t *testing.T) {
			for split, cut := range splits {
				if got, err := io.ReadAll(NewReader(cut(strings.NewReader(c.body)), crc32Trailer)); !errors.Is(err, c.want) || len(got) >= 5 {
					t.Errorf("Reader, %s: %q, %v, want %v", split, got, err, c.want)
				}
				if got, err := io.ReadAll(NewWalker(cut(strings.NewReader(c.body)), crc32Trailer)); !errors.Is(err, c.want) || len(got) > 0 && len(got) >= len(c.body) {
					t.Errorf("Walker, %s: %q, %v, want %v", split, got, err, c.want)
				}
			}
		})
	}
}

func TestUndeclaredTrailer(t *testing.T) {
	for _, line := range []string{hello, ":", ":NhCmhg=="} {
		body := "5\r\nhello\r\n0\r\n" + line + "\r\n\r\n"
		if _, err := io.ReadAll(NewReader(strings.NewReader(body), Options{Length: 5})); !errors.Is(err, ErrTrailer) {
			t.Errorf("trailer line %q: error %v, want ErrTrailer", line, err)
		}
	}
	if got, err := io.ReadAll(NewReader(strings.NewReader("5\r\nhello\r\n0\r\n\r\n"), Options{Length: 5})); string(got) != "hello" || err != nil {
		t.Errorf("without a trailer: %q, %v", got, err)
	}
}

func TestChecksumMismatch(t *testing.T) {
	for name, trailer := range map[string]string{
		"another sum":     "x-amz-checksum-crc32:NhCmhA==",
		"no base64":       "x-amz-checksum-crc32:-",
		"nothing":         "x-amz-checksum-crc32:",
		"not canonical":   "x-amz-checksum-crc32:NhCmhh==",
		"not an S3 check": "x-amz-checksum-crc16:NhCmhg==",
	} {
		t.Run(name, func(t *testing.T) {
			body := "5\r\nhello\r\n0\r\n" + trailer + "\r\n\r\n"
			declared, _, _ := strings.Cut(trailer, ":")
			got, err := io.ReadAll(NewReader(strings.NewReader(body), Options{Length: 5, Trailer: declared}))
			if !errors.Is(err, ErrChecksum) || len(got) >= 5 {
				t.Errorf("Reader: %q, %v, want less than the body and ErrChecksum", got, err)
			}
			got, err = io.ReadAll(NewWalker(strings.NewReader(body), Options{Length: 5, Trailer: declared}))
			if err != nil || string(got) != body {
				t.Errorf("Walker, which leaves the sum to storage: %q, %v", got, err)
			}
		})
	}
}

// Every proper beginning of a body is an early end, and none is delivered whole.
func TestTruncated(t *testing.T) {
	body := "1\r\nh\r\n4\r\nello\r\n0\r\n" + hello + "\r\n\r\n"
	for n := range len(body) {
		for split, cut := range splits {
			got, err := io.ReadAll(NewReader(cut(strings.NewReader(body[:n])), crc32Trailer))
			if !errors.Is(err, ErrFraming) || !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= 5 {
				t.Errorf("Reader, %d bytes, %s: %q, %v", n, split, got, err)
			}
			got, err = io.ReadAll(NewWalker(cut(strings.NewReader(body[:n])), crc32Trailer))
			if !errors.Is(err, ErrFraming) || !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= max(n, 1) {
				t.Errorf("Walker, %d bytes, %s: %q, %v", n, split, got, err)
			}
		}
	}
}

// An error of the source comes through as it is, and the last byte does not.
func TestSourceError(t *testing.T) {
	broken := fmt.Errorf("client gone: %w", io.EOF) // which is not io.EOF
	body := "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n"
	for n := range len(body) + 1 {
		src := func() io.Reader { return io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(broken)) }
		if got, err := io.ReadAll(NewReader(src(), crc32Trailer)); !errors.Is(err, broken) || len(got) >= 5 {
			t.Errorf("Reader, after %d bytes: %q, %v", n, got, err)
		}
		if got, err := io.ReadAll(NewWalker(src(), crc32Trailer)); !errors.Is(err, broken) || len(got) >= max(n, 1) {
			t.Errorf("Walker, after %d bytes: %q, %v", n, got, err)
		}
		if got, err := io.ReadAll(Reframe(src(), crc32Trailer)); !errors.Is(err, broken) || len(got) > len("5\r\nhell") {
			t.Errorf("Reframer, after %d bytes: %q, %v", n, got, err)
		}
	}
}

// gate delivers body up to at, then reports that it is asked for more.
type gate struct {
	io.Reader
	rest  io.Reader
	asked func()
}

func (g *gate) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if err != io.EOF {
		return n, err
	}
	if g.asked != nil {
		g.asked()
		g.asked = nil
	}
	return g.rest.Read(b)
}

// The last byte is kept back until the source has ended, while all others go on as soon as they come.
func TestKeepsBackOnlyTheLastByte(t *testing.T) {
	body := "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n"
	for _, c := range []struct {
		name string
		make func(io.Reader) io.Reader
		at   int // bytes of body that have come
		want string
	}{
		{"Reader, data complete", func(r io.Reader) io.Reader { return NewReader(r, crc32Trailer) }, len("5\r\nhello"), "hell"},
		{"Reader, all but the source's end", func(r io.Reader) io.Reader { return NewReader(r, crc32Trailer) }, len(body), "hell"},
		{"Reader, in the middle", func(r io.Reader) io.Reader { return NewReader(r, crc32Trailer) }, len("5\r\nhe"), "he"},
		{"Walker, in the middle, where the source might end", func(r io.Reader) io.Reader { return NewWalker(r, crc32Trailer) }, len("5\r\nhello\r\n0\r"), "5\r\nhello\r\n0"},
		{"Walker, all but the source's end", func(r io.Reader) io.Reader { return NewWalker(r, crc32Trailer) }, len(body), body[:len(body)-1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			var delivered bytes.Buffer
			asked := false
			src := iotest.OneByteReader(strings.NewReader(body[:c.at]))
			r := c.make(&gate{src, strings.NewReader(body[c.at:]), func() {
				asked = true
				if delivered.String() != c.want {
					t.Errorf("delivered %q, want %q", &delivered, c.want)
				}
			}})
			if _, err := io.Copy(struct{ io.Writer }{&delivered}, r); err != nil || !asked {
				t.Errorf("asked %v, error %v", asked, err)
			}
		})
	}
}

func TestSmallChunks(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []int
		bad    int // the chunk that is too small; 0: none
	}{
		{"one", []int{1}, 0},
		{"the last", []int{8, 9, 1}, 0},
		{"the first", []int{7, 8}, 1},
		{"in the middle", []int{8, 1, 8}, 2},
		{"the last but one", []int{8, 1, 1}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body strings.Builder
			sum := 0
			for _, n := range c.chunks {
				fmt.Fprintf(&body, "%x\r\n%s\r\n", n, strings.Repeat("a", n))
				sum += n
			}
			body.WriteString("0\r\n\r\n")
			got, err := io.ReadAll(NewReader(strings.NewReader(body.String()), Options{Length: int64(sum), MinChunk: 8}))
			var small *ChunkSizeError
			switch {
			case c.bad == 0 && (err != nil || len(got) != sum):
				t.Errorf("%d bytes, %v", len(got), err)
			case c.bad > 0 && (!errors.As(err, &small) || *small != ChunkSizeError{c.bad, int64(c.chunks[c.bad-1])} || len(got) >= sum):
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
