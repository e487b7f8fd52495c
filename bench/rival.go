package main

import "os/exec"

// startRival is versitygw as a gateway to S3: like Partway it checks signatures and makes its own, and it carries every byte. It keeps no records.
func startRival(o *options, _ bool) (*running, error) {
	const id, secret = "rival", "rival-secret"
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.versitygw, "--port", address, "--keep-alive", "--quiet", "s3",
		"--access", "sink", "--secret", "sink-secret", "--endpoint", "http://"+o.sink.http, "--region", region, "--use-path-style")
	// AWS_CA_BUNDLE makes the Go SDK refuse plain http.
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + id, "ROOT_SECRET_KEY=" + secret, "HOME=" + o.dir}
	p, err := startListening(o.path("rival.log"), address, cmd)
	if err != nil {
		return nil, err
	}
	return &running{p, target{addr: address, signer: newSigner(id, secret)}}, nil
}
