package e2e

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"partway/e2e/harness"
)

// fleet is three gateways behind HAProxy, which gives each request to the next of them.
type fleet struct {
	first    *harness.Stack // also the way to the balancer: its tenants and operator go there
	gateways []*member
	endpoint string
	ca       string
}

// member is a gateway of a fleet. It keeps its address over a restart, as a machine does.
type member struct {
	stack *harness.Stack
	addr  string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// HAProxy asks every second whether a gateway is ready.
	first := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{"server: {trusted_proxies: [127.0.0.1/32], drain_delay: 2s}"}})
	f := &fleet{first: first, gateways: []*member{{first, first.Gateway.Addr()}}}
	for range 2 {
		other, err := first.Another(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := other.Stop(); err != nil {
				t.Error(err)
			}
		})
		f.gateways = append(f.gateways, &member{other, other.Gateway.Addr()})
	}
	var addrs []string
	for _, g := range f.gateways {
		addrs = append(addrs, g.addr)
	}
	b := started(t)(harness.StartBalancer(t.Context(), first.Dir, harness.BalancerSetup{Config: "haproxy.cfg", Certificates: c, Gateways: addrs}))
	f.endpoint, f.ca = "https://"+b.Addr, c.CA
	f.lead(t)
	return f
}

// lead makes the stack's clients take the balancer.
func (f *fleet) lead(t *testing.T) {
	t.Helper()
	f.first.Gateway.Endpoint = f.endpoint
	if err := f.first.Gateway.Trust(f.ca); err != nil {
		t.Fatal(err)
	}
}

// roll restarts the gateways one after the other, each when the one before is ready again and the balancer knows.
func (f *fleet) roll(t *testing.T) {
	t.Helper()
	for _, g := range f.gateways {
		if err := g.stack.Gateway.Stop(40 * time.Second); err != nil {
			t.Error(err)
		}
		if err := g.stack.RestartAt(t.Context(), g.addr); err != nil {
			t.Fatal(err)
		}
		if g.stack == f.first {
			f.lead(t)
		}
		f.known(t, g)
	}
}

// known waits until the balancer gives a gateway bodies to carry again: else the next to be stopped might be the last that it knows.
func (f *fleet) known(t *testing.T, g *member) {
	t.Helper()
	there := &harness.Gateway{Process: g.stack.Gateway.Process, Ready: harness.Ready{Endpoint: "http://" + g.addr}, Operator: f.first.Gateway.Operator}
	err := harness.Await(withTimeout(t, 30*time.Second), "bodies at the gateway that came back", there.Process, func() bool {
		carried, err := there.Metric(t.Context(), "partway_transfer_bytes_total")
		return err == nil && carried > 0
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Uploads go on, every call of each on whatever gateway is next, while one gateway after the other is restarted: no client sees an error beyond what a
// stock SDK's own retries cover, and every object is what was sent.
func TestARollingRestartUnderLoad(t *testing.T) { rollUnderLoad(t, 1) }

func rollUnderLoad(t *testing.T, rolls int) {
	f := newFleet(t)
	n := f.first.NewTenant(t)
	over, end := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var uploads atomic.Int64
	for worker := range 3 {
		client := stockClient(t, n)
		load.Go(func() {
			for i := 0; over.Err() == nil; i++ {
				if err := uploadAndRead(t.Context(), client, fmt.Sprintf("%s%d-%d", n.Prefix, worker, i), byte(worker+3*i)); err != nil {
					t.Error(err)
					return
				}
				uploads.Add(1)
			}
		})
	}
	for range rolls {
		f.roll(t)
	}
	end()
	load.Wait()
	t.Logf("%d uploads through %d restarts", uploads.Load(), rolls*len(f.gateways))
	if uploads.Load() == 0 {
		t.Error("nothing was uploaded")
	}
	mixed := map[string]map[string]bool{} // upload id: gateways that it was on
	events, err := f.first.Gateway.Events(t.Context(), n.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.UploadID != "" {
			if mixed[e.UploadID] == nil {
				mixed[e.UploadID] = map[string]bool{}
			}
			mixed[e.UploadID][e.Writer] = true
		}
	}
	several := 0
	for _, writers := range mixed {
		if len(writers) > 1 {
			several++
		}
	}
	if several < len(mixed)/2 {
		t.Errorf("%d of %d uploads were on more than one gateway, want most", several, len(mixed))
	}
}

// stockClient is the SDK's own, with the retries that it has by default.
func stockClient(t *testing.T, n *harness.Tenant) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(n.Endpoint), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(n.AccessKeyID, n.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{TLSClientConfig: harness.Trusting(t, n.Gateway.CA)}},
	})
}

// uploadAndRead makes an object of two parts and reads it.
func uploadAndRead(ctx context.Context, c *s3.Client, key string, fill byte) error {
	bucket, name := aws.String(harness.Bucket), aws.String(key)
	made, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: name})
	if err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	parts := [][]byte{bytes.Repeat([]byte{fill}, 5*mib), []byte(strings.Repeat(key, 1000))}
	var done []types.CompletedPart
	for i, part := range parts {
		number := aws.Int32(int32(i + 1))
		put, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: name, UploadId: made.UploadId, PartNumber: number, Body: bytes.NewReader(part)})
		if err != nil {
			return fmt.Errorf("part %d of %s: %w", i+1, key, err)
		}
		done = append(done, types.CompletedPart{PartNumber: number, ETag: put.ETag})
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: name, UploadId: made.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	if err != nil {
		return fmt.Errorf("complete %s: %w", key, err)
	}
	get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: name})
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	defer get.Body.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, get.Body); err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	if want := md5.Sum(bytes.Join(parts, nil)); !bytes.Equal(sum.Sum(nil), want[:]) {
		return fmt.Errorf("%s: read %s, sent %s", key, hex.EncodeToString(sum.Sum(nil)), hex.EncodeToString(want[:]))
	}
	return nil
}
