package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"partway/cmd/partway/config"
	"partway/cmd/partway/doctor"
)

// certificateWarning is how long before its end a certificate should have been renewed: ACME clients do it a month before.
const certificateWarning = 14 * 24 * time.Hour

// configured are the checks that need no server.
func configured(c *config.Config, locate config.Locate, now time.Time) []doctor.Check {
	check := doctor.Check{Status: doctor.OK, About: "config", Name: "keys and identities", Seen: "can be used"}
	if err := tryConfig(c); err != nil {
		check.Status, check.Seen, check.Do = doctor.Fail, locate(err).Error(), "see config.example.yaml"
	}
	all := []doctor.Check{check, dataDir(c)}
	if c.AdminExposed() {
		all = append(all, doctor.Check{Status: doctor.Warn, About: "config", Name: "admin listener",
			Seen: c.Server.AdminListen + ": " + adminExposed, Do: "listen on loopback, or let nobody but the monitoring reach it"})
	}
	if leaf, err := certificate(c.Server.TLS, now); err == nil && leaf != nil {
		check := doctor.Check{Status: doctor.OK, About: "config", Name: "certificate", Seen: fmt.Sprintf("until %s, for %q", leaf.NotAfter.Format(time.DateOnly), leaf.DNSNames)}
		if leaf.NotAfter.Sub(now) < certificateWarning {
			check.Status, check.Do = doctor.Warn, "renew it"
		}
		all = append(all, check)
	}
	if c.Server.TLS.CertFile == "" && c.ListenExposed() {
		all = append(all, doctor.Check{Status: doctor.Warn, About: "config", Name: "certificate",
			Seen: "none, and server.listen " + c.Server.Listen + " is not loopback: bearer tokens travel in the clear", Do: "set server.tls, or let nothing but a TLS proxy reach it"})
	}
	return all
}

// dataDir: it holds keys or the spool, and the gateway makes it, so that it need not be there.
func dataDir(c *config.Config) doctor.Check {
	check := doctor.Check{Status: doctor.OK, About: "config", Name: "data_dir", Seen: c.DataDir}
	info, err := os.Stat(c.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		check.Seen += " is made by the gateway"
	case err != nil:
		check.Status, check.Seen, check.Do = doctor.Fail, err.Error(), "let the gateway's user reach it"
	case !info.IsDir():
		check.Status, check.Seen, check.Do = doctor.Fail, c.DataDir+" is no directory", "name another"
	}
	keys := filepath.Join(c.DataDir, "keys")
	if info, err := os.Stat(keys); err == nil && info.Mode().Perm()&0o077 != 0 {
		check.Status, check.Do = doctor.Warn, "chmod 700: the keys in it make any token"
		check.Seen = fmt.Sprintf("%s is open to others (%s)", keys, info.Mode().Perm())
	}
	return check
}
