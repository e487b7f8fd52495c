package agent

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Download copies an object to a file, which appears under its name only when it is whole. verified says whether the ETag vouches for its bytes.
func (c *Copy) Download(ctx context.Context, client *Client, o Object, path string) (verified bool, err error) {
	header, _, err := client.s3(ctx, http.MethodHead, o, "", nil, nil, true)
	if err != nil {
		return false, err
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		return false, errors.New("storage does not say how long the object is")
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".partway-")
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name()) // unless it was renamed
	defer f.Close()
	if err := c.ranges(ctx, client, o, header.Get("Etag"), f, size); err != nil {
		return false, err
	}
	if verified, err = c.verify(ctx, client, o, header, f, size); err != nil {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	return verified, os.Rename(f.Name(), path)
}

// ranges fetches the object's parts, all of the same object or none.
func (c *Copy) ranges(ctx context.Context, client *Client, o Object, etag string, f *os.File, size int64) error {
	part := max(c.PartSize, minPart)
	count := (size + part - 1) / part
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	workers := int64(c.Parallel)
	if workers <= 0 {
		workers = 4
	}
	for range min(workers, count) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < count && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := c.fetch(ctx, client, o, etag, f, i*part, min(part, size-i*part)); err != nil {
					cancel(err) // the first counts
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// fetch writes one range, from where it broke off if it did.
func (c *Copy) fetch(ctx context.Context, client *Client, o Object, etag string, f *os.File, offset, length int64) error {
	for try := 0; ; try++ {
		n, err := client.getRange(ctx, o, etag, io.NewOffsetWriter(f, offset), offset, length)
		offset, length = offset+n, length-n
		if c.Moved != nil {
			c.Moved(n)
		}
		var refusal *Refusal
		final := errors.As(err, &refusal) && refusal.Status < 500 && !errors.Is(err, errAway)
		if err == nil && length == 0 || final || ctx.Err() != nil || try == bodyTries-1 {
			if err == nil && length > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		client.Stats.Retries.Add(1)
		select {
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// getRange fetches a range from storage where that has an identity for downloads, and through the gateway otherwise.
func (c *Client) getRange(ctx context.Context, o Object, etag string, to io.Writer, offset, length int64) (int64, error) {
	req, direct, err := c.getRequest(ctx, o)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	req.Header.Set("If-Match", etag)
	ask := c.ask
	if direct {
		ask = func(req *http.Request) (*http.Response, error) {
			resp, err := c.storage.RoundTrip(req)
			if err != nil {
				err = fmt.Errorf("storage %w: %w", errAway, err)
			}
			return resp, err
		}
	}
	resp, err := ask(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what was readable is all there is to say
		if resp.StatusCode/100 == 2 {
			return 0, errors.New("storage does not know ranges")
		}
		refusal := storageRefusal(resp.StatusCode, text)
		if direct && (ofSignature[refusal.Code] || refusal.Message == expiredMessage) {
			return 0, fmt.Errorf("storage %w: %w", errAway, refusal)
		}
		return 0, refusal
	}
	n, err := io.Copy(to, io.LimitReader(resp.Body, length))
	bytes, bodies := &c.Stats.RelayedBytes, &c.Stats.RelayedBodies
	if direct {
		bytes, bodies = &c.Stats.DirectBytes, &c.Stats.DirectBodies
	}
	bytes.Add(n)
	bodies.Add(1)
	if err != nil {
		err = fmt.Errorf("storage %w: %w", errAway, err)
	}
	return n, err
}

// getRequest is a GET of o at storage, if one is signed, or at the gateway.
func (c *Client) getRequest(ctx context.Context, o Object) (req *http.Request, direct bool, err error) {
	if !c.noGet.Load() {
		signed, err := c.sign(ctx, signCall{Method: http.MethodGet, Bucket: o.Bucket, Key: o.Key})
		unsigned := (*Refusal)(nil)
		switch {
		case err == nil:
			req, err = http.NewRequestWithContext(ctx, http.MethodGet, signed[0].URL, nil)
			return req, true, err
		case !errors.As(err, &unsigned) || unsigned.reason == "":
			return nil, false, err
		case unsigned.reason == "identity":
			c.noGet.Store(true)
		}
	}
	req, err = c.request(ctx, http.MethodGet, o, "", nil, 0)
	return req, false, err
}

// verify holds the file to the object's ETag, where that is an MD5 or made of the MD5s of equal parts.
func (c *Copy) verify(ctx context.Context, client *Client, o Object, header http.Header, f *os.File, size int64) (bool, error) {
	etag := strings.Trim(header.Get("Etag"), `"`)
	if strings.HasPrefix(header.Get("X-Amz-Server-Side-Encryption"), "aws:") || header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return false, nil // its ETag is no MD5
	}
	if isMD5(etag) {
		sum, err := md5Of(io.NewSectionReader(f, 0, size))
		if err == nil && hex.EncodeToString(sum) != etag {
			err = ErrChecksum
		}
		return err == nil, err
	}
	_, number, _ := strings.Cut(etag, "-")
	count, err := strconv.ParseInt(number, 10, 64)
	if err != nil || count < 1 || count > maxParts {
		return false, nil //nolint:nilerr // an ETag of another form is no failure of the copy
	}
	first, _, err := client.s3(ctx, http.MethodHead, o, "partNumber=1", nil, nil, true)
	if err != nil {
		return false, nil //nolint:nilerr // storage that does not know parts of an object is no failure of the copy
	}
	part, err := strconv.ParseInt(first.Get("Content-Length"), 10, 64)
	if err != nil || part < 1 || (size+part-1)/part != count {
		return false, nil //nolint:nilerr // likewise
	}
	sums := make([][]byte, 0, count)
	for offset := int64(0); offset < size; offset += part {
		h := md5.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, offset, min(part, size-offset))); err != nil {
			return false, err
		}
		sums = append(sums, h.Sum(nil))
	}
	return ofParts(sums) == etag, nil // parts may have been of different sizes
}
