package agent

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Copy says how `partway cp` copies.
type Copy struct {
	Parallel int    // bodies at once [4]
	PartSize int64  // [8 MiB, or what it takes for 10,000 parts]
	StateDir string // where unfinished uploads are noted; "": nowhere, and none is resumed
	// Moved is told of bytes that have arrived, and Resumed of those that had before. Both are called concurrently.
	Moved, Resumed func(bytes int64)
}

const (
	minPart     = 8 << 20
	maxParts    = 10000
	maxBody     = 5 << 30
	bodyTries   = 6 // of one body, each with a fresh signature
	mebi        = 1 << 20
	stateSuffix = ".json"
)

// ErrChecksum says that what arrived is not what was sent.
var ErrChecksum = errors.New("the object is not the file")

// partSize is large enough for 10,000 parts.
func (c *Copy) partSize(size int64) (int64, error) {
	part := max(c.PartSize, minPart)
	if least := (size + maxParts - 1) / maxParts; part < least {
		part = (least + mebi - 1) / mebi * mebi
	}
	if part > maxBody {
		return 0, fmt.Errorf("%d bytes are more than S3 takes", size)
	}
	return part, nil
}

// state is an unfinished upload, so that the same command goes on with it.
type state struct {
	UploadID string    `json:"upload_id"`
	PartSize int64     `json:"part_size"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Upload copies a file to o and returns the object's ETag. Storage verifies every body against its MD5, and the whole is verified by the ETag
// where that is made of them. An upload that was begun before and is still there is gone on with: parts that storage lists with the size
// and the MD5 of the file's are not sent again.
func (c *Copy) Upload(ctx context.Context, client *Client, path string, o Object) (etag string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	part, err := c.partSize(info.Size())
	if err != nil {
		return "", err
	}
	if info.Size() <= part {
		return c.uploadWhole(ctx, client, io.NewSectionReader(f, 0, info.Size()), o)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	u := &uploading{Copy: c, client: client, file: f, o: o, note: c.noteOf(client, absolute, o)}
	u.state = state{PartSize: part, Size: info.Size(), Modified: info.ModTime().UTC()}
	return u.run(ctx)
}

func (c *Copy) uploadWhole(ctx context.Context, client *Client, body *io.SectionReader, o Object) (string, error) {
	sum, err := md5Of(body)
	if err != nil {
		return "", err
	}
	etag, err := c.put(ctx, client, o, "", 0, body, sum)
	if err == nil && isMD5(etag) && strings.Trim(etag, `"`) != hex.EncodeToString(sum) {
		err = ErrChecksum
	}
	return etag, err
}

// put sends one body, as often as it takes.
func (c *Copy) put(ctx context.Context, client *Client, o Object, id string, number int, body *io.SectionReader, sum []byte) (etag string, err error) {
	for try, pause := 0, 200*time.Millisecond; ; try, pause = try+1, 2*pause {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		etag, err = client.putDirectly(ctx, o, id, number, body, body.Size(), sum)
		var refusal *Refusal
		final := errors.As(err, &refusal) && refusal.Status < 500 && !errors.Is(err, errBroke) && !errors.Is(err, errAway)
		if err == nil || final || ctx.Err() != nil || try == bodyTries-1 {
			break
		}
		client.Stats.Retries.Add(1)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
		}
	}
	if err == nil && c.Moved != nil {
		c.Moved(body.Size())
	}
	return etag, err
}

// uploading is one file on its way in parts.
type uploading struct {
	*Copy
	client *Client
	file   *os.File
	o      Object
	note   string // file of the state; "" for none
	state  state
}

func (u *uploading) run(ctx context.Context) (string, error) {
	have, err := u.begin(ctx)
	if err != nil {
		return "", err
	}
	count := int((u.state.Size + u.state.PartSize - 1) / u.state.PartSize)
	parts, sums := make([]storedPart, count), make([][]byte, count)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	workers := u.Parallel
	if workers <= 0 {
		workers = 4
	}
	for range min(workers, count) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				var err error
				if parts[i], sums[i], err = u.part(ctx, i, have[i+1]); err != nil {
					cancel(fmt.Errorf("part %d: %w", i+1, err)) // the first counts
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	if err := u.unchanged(); err != nil {
		return "", err
	}
	etag, err := u.client.completeUpload(ctx, u.o, u.state.UploadID, parts)
	if err != nil {
		return "", fmt.Errorf("complete: %w", err)
	}
	u.forget()
	if want := ofParts(sums); isMD5(parts[0].ETag) && strings.HasSuffix(strings.Trim(etag, `"`), fmt.Sprintf("-%d", count)) && strings.Trim(etag, `"`) != want {
		return etag, fmt.Errorf("%w: its ETag is %s, want %q", ErrChecksum, etag, want)
	}
	return etag, nil
}

// begin finds the upload that was begun before, with what storage holds of it: the one that was noted, or the one that the gateway hands over, whoever
// began it. If there is none it makes one.
func (u *uploading) begin(ctx context.Context) (map[int]storedPart, error) {
	var before state
	if text, err := os.ReadFile(u.note); err == nil && json.Unmarshal(text, &before) == nil &&
		before.Size == u.state.Size && before.Modified.Equal(u.state.Modified) && before.PartSize >= minPart && before.UploadID != "" {
		have, err := u.client.listParts(ctx, u.o, before.UploadID)
		if err == nil {
			u.state = before
			return have, nil
		}
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) || refusal.Code != "NoSuchUpload" {
			return nil, fmt.Errorf("going on with an upload: %w", err)
		}
	}
	id, have, err := u.client.createUpload(ctx, u.o)
	if err != nil {
		return nil, err
	}
	u.state.UploadID = id
	if u.note == "" {
		return have, nil
	}
	text, err := json.Marshal(u.state)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(u.note), 0o700)
	}
	if err == nil {
		err = os.WriteFile(u.note, text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("noting the upload: %w", err)
	}
	return have, nil
}

// part sends the i-th part unless storage holds it.
func (u *uploading) part(ctx context.Context, i int, have storedPart) (storedPart, []byte, error) {
	offset := int64(i) * u.state.PartSize
	body := io.NewSectionReader(u.file, offset, min(u.state.PartSize, u.state.Size-offset))
	sum, err := md5Of(body)
	if err != nil {
		return storedPart{}, nil, err
	}
	if have.holds(body.Size(), sum, nil) {
		if u.Resumed != nil {
			u.Resumed(body.Size())
		}
		return have, sum, nil
	}
	etag, err := u.put(ctx, u.client, u.o, u.state.UploadID, i+1, body, sum)
	return storedPart{PartNumber: i + 1, ETag: etag, Size: body.Size()}, sum, err
}

// unchanged refuses to complete what was read from a file that changed meanwhile.
func (u *uploading) unchanged() error {
	info, err := u.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != u.state.Size || !info.ModTime().UTC().Equal(u.state.Modified) {
		u.forget()
		return errors.New("the file changed while it was read")
	}
	return nil
}

func (u *uploading) forget() {
	if u.note != "" {
		_ = os.Remove(u.note) // what stays is looked at and found wrong
	}
}

// noteOf names the state of one file's way to one object.
func (c *Copy) noteOf(client *Client, path string, o Object) string {
	if c.StateDir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(client.endpoint.String() + "\x00" + o.String() + "\x00" + path))
	return filepath.Join(c.StateDir, hex.EncodeToString(sum[:12])+stateSuffix)
}

// isMD5 reports whether an ETag has the form of an MD5; with KMS it is none for all that.
func isMD5(etag string) bool {
	b, err := hex.DecodeString(strings.Trim(etag, `"`))
	return err == nil && len(b) == md5.Size
}

// ofParts is the ETag that S3 gives an object of parts: the MD5 of their MD5s, and their number.
func ofParts(sums [][]byte) string {
	h := md5.New()
	for _, s := range sums {
		h.Write(s)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(sums))
}
