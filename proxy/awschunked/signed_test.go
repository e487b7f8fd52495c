package awschunked

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"partway/auth/sigv4"
)

// chunksAfter verifies what newChain signs, following on seed.
func chunksAfter(seed string) *sigv4.Chunks {
	s := sigv4.Scope{Date: "20130524", Region: "us-east-1", Service: "s3"}
	return sigv4.NewChunks(sigv4.DeriveKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", s), seed, "20130524T000000Z", s)
}

var (
	as      = bytes.Repeat([]byte("a"), 65*1024)
	k64, k1 = string(as[:64*1024]), string(as[:1024])
)

// The documentation's example, whose signatures it gives.
var published = "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + k64 + "\r\n" +
	"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + k1 + "\r\n" +
	"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"

// The same with a trailer, from "Signature calculations for trailing headers".
var publishedTrailer = "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + k64 + "\r\n" +
	"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + k1 + "\r\n" +
	"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
	"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
	"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"

func TestPublishedExamples(t *testing.T) {
	for split, cut := range splits {
		t.Run(split, func(t *testing.T) {
			got, err := io.ReadAll(NewReader(cut(strings.NewReader(published)), Options{Length: 66560, Chunks: chunksAfter(seed)}))
			if err != nil || !bytes.Equal(got, as) {
				t.Errorf("without trailer: %d bytes, %v", len(got), err)
			}
			o := Options{Length: 66560, Trailer: "x-amz-checksum-crc32c", Chunks: chunksAfter(trailerSeed)}
			r := NewReader(cut(strings.NewReader(publishedTrailer)), o)
			got, err = io.ReadAll(r)
			if err != nil || !bytes.Equal(got, as) || r.value != "sOO8/Q==" {
				t.Errorf("with trailer: %d bytes, %v, trailer %q", len(got), err, r.value)
			}
			o.Chunks = chunksAfter(trailerSeed)
			want := unsigned(as, 64*1024, "x-amz-checksum-crc32c:sOO8/Q==")
			if got, err = io.ReadAll(Reframe(cut(strings.NewReader(publishedTrailer)), o)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("reframed: %d bytes, want %d, %v", len(got), len(want), err)
			}
		})
	}
}

func TestSignedAsMinioGo(t *testing.T) {
	c := newChain()
	c.trailerLineEnds = "\n\r\n"
	data := pattern(5000)
	body := c.signed(data, 999, sumTrailer("x-amz-checksum-crc32", data))
	got, err := io.ReadAll(NewReader(bytes.NewReader(body), Options{Length: 5000, Trailer: "X-Amz-Checksum-Crc32", Chunks: chunksAfter(seed)}))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Whatever is changed in a signed body, it does not arrive whole.
func TestTampered(t *testing.T) {
	data := pattern(300)
	trailer := sumTrailer("x-amz-checksum-crc32", data)
	plain := string(newChain().signed(data, 100, ""))
	trailed := string(newChain().signed(data, 100, trailer))
	signature := func(s string, n int) string { // the n-th
		for range n {
			_, s, _ = strings.Cut(s, "signature")
		}
		return s[1:65]
	}
	flip := func(s, old string) string { // another hex digit in old
		digit := "0"
		if old[10] == '0' {
			digit = "1"
		}
		return strings.Replace(s, old, old[:10]+digit+old[11:], 1)
	}
	end := strings.Index(trailed, "x-amz-trailer-signature")
	for _, c := range []struct {
		name, body, trailer string
		want                error
	}{
		{"data of the first chunk", strings.Replace(plain, string(data[10:20]), "0123456789", 1), "", ErrSignature},
		{"data of the last chunk", strings.Replace(plain, string(data[290:]), "0123456789", 1), "", ErrSignature},
		{"signature of the first chunk", flip(plain, signature(plain, 1)), "", ErrSignature},
		{"signature of the last chunk", flip(plain, signature(plain, 3)), "", ErrSignature},
		{"signature of the end", flip(plain, signature(plain, 4)), "", ErrSignature},
		{"signatures exchanged", strings.NewReplacer(signature(plain, 1), signature(plain, 2), signature(plain, 2), signature(plain, 1)).Replace(plain), "", ErrSignature},
		{"no signature", strings.Replace(plain, ";chunk-signature="+signature(plain, 2), "", 1), "", ErrFraming},
		{"empty signature", strings.Replace(plain, signature(plain, 2), "", 1), "", ErrFraming},
		{"end without signature", strings.Replace(plain, ";chunk-signature="+signature(plain, 4), "", 1), "", ErrFraming},
		{"a chunk left out", strings.Replace(plain, plain[:len(plain)/3], "", 1), "", ErrFraming},
		{"unsigned instead", string(unsigned(data, 100, "")), "", ErrFraming},
		{"unsigned trailer instead", string(unsigned(data, 100, trailer)), "x-amz-checksum-crc32", ErrFraming},
		{"value of the trailer", strings.Replace(trailed, "crc32:", "crc32:A", 1), "x-amz-checksum-crc32", ErrSignature},
		{"signature of the trailer", flip(trailed, signature(trailed, 5)), "x-amz-checksum-crc32", ErrSignature},
		{"trailer without signature", trailed[:end] + "\r\n", "x-amz-checksum-crc32", ErrFraming},
		{"trailer without signature, two ends", trailed[:end] + "\r\n\r\n", "x-amz-checksum-crc32", ErrFraming},
		{"signature before the trailer", strings.Replace(trailed, trailer+"\r\n", "", 1), "x-amz-checksum-crc32", ErrTrailer},
		{"trailer that was not declared", trailed, "", ErrTrailer},
		{"declared trailer missing", plain, "x-amz-checksum-crc32", ErrTrailer},
		{"truncated", trailed[:len(trailed)-1], "x-amz-checksum-crc32", ErrFraming},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.body == plain && c.trailer == "" || c.body == trailed && c.trailer != "" {
				t.Fatal("nothing was changed")
			}
			for split, cut := range splits {
				o := Options{Length: 300, Trailer: c.trailer, Chunks: chunksAfter(seed)}
				if got, err := io.ReadAll(NewReader(cut(strings.NewReader(c.body)), o)); !errors.Is(err, c.want) || len(got) >= 300 {
					t.Errorf("Reader, %s: %d bytes, %v, want %v", split, len(got), err, c.want)
				}
				o.Chunks = chunksAfter(seed)
				got, err := io.ReadAll(Reframe(cut(strings.NewReader(c.body)), o))
				if !errors.Is(err, c.want) || bytes.Contains(got, data) || bytes.Contains(got, []byte("\r\n0\r\n")) {
					t.Errorf("Reframer, %s: %d bytes, %v, want %v", split, len(got), err, c.want)
				}
			}
		})
	}
}

// With the trailer's signature right and its checksum wrong, the client itself was wrong.
func TestSignedChecksumMismatch(t *testing.T) {
	data := pattern(300)
	body := newChain().signed(data, 100, "x-amz-checksum-crc32:AAAAAA==")
	o := Options{Length: 300, Trailer: "x-amz-checksum-crc32", Chunks: chunksAfter(seed)}
	if got, err := io.ReadAll(NewReader(bytes.NewReader(body), o)); !errors.Is(err, ErrChecksum) || len(got) >= 300 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	o.Chunks = chunksAfter(seed)
	if _, err := io.ReadAll(Reframe(bytes.NewReader(body), o)); err != nil {
		t.Errorf("Reframer, which leaves the sum to storage: %v", err)
	}
}

// FuzzSigned: what newChain signs is decoded, and changing any one byte of it is noticed.
func FuzzSigned(f *testing.F) {
	f.Add([]byte("hello, hello"), uint16(3), uint32(20), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint16, at uint32, change byte) {
		o := func() Options {
			return Options{Length: int64(len(data)), Trailer: "x-amz-checksum-crc32", Chunks: chunksAfter(seed)}
		}
		body := newChain().signed(data, int(chunk)+1, sumTrailer("x-amz-checksum-crc32", data))
		if got, err := io.ReadAll(NewReader(iotest.HalfReader(bytes.NewReader(body)), o())); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%q, %v", got, err)
		}
		body[int(at)%len(body)] ^= change
		got, err := io.ReadAll(NewReader(bytes.NewReader(body), o()))
		if err == nil && !bytes.Equal(got, data) || err != nil && len(data) > 0 && len(got) >= len(data) {
			t.Fatalf("tampered: %q, %v", got, err)
		}
	})
}
