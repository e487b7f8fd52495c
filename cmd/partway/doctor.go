package main

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partway/auth"
	"partway/cmd/partway/config"
	"partway/cmd/partway/doctor"
	"partway/proxy"
	"partway/tracking/mongo"
	"partway/tracking/redis"
)

type doctorFlags struct {
	config, prefix string
	buckets        []string
	origins        []string
	fix            bool
	asJSON         bool
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try what the gateway relies on: configuration, storage, MongoDB, Redis; attacks too",
		Long: "Try what the gateway relies on: the configuration with its keys and certificate; at every backend clock, credentials, forms of a body, and what\n" +
			"the holder of a signed URL could do beside uploading; MongoDB's clock, indexes and majority writes; Redis's clock, version and eviction. It puts\n" +
			"test objects under a random prefix, touches no others, and takes them away again. A running gateway is not disturbed.\n\n" +
			"Exit status: 0 all is well or could be safer (warn), 1 something FAILed, 2 the configuration is wrong.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, locate, err := loadConfig(f.config)
			if err != nil {
				return err
			}
			storages, release, err := f.storages(c)
			if err != nil {
				return err
			}
			defer release()
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			report := diagnosis{table: newTable(cmd.OutOrStdout(), "STATUS", "WHERE", "CHECK", "SEEN -> WHAT TO DO"), asJSON: f.asJSON, cmd: cmd}
			for _, check := range configured(c, locate, time.Now()) {
				report.add(check)
			}
			for i := range storages {
				storages[i].Examine(ctx, report.add)
				report.add(redirectable(c, &c.Storage.Backends[i], storages[i].Backend.Host()))
			}
			if c.MongoDB.URI != "" {
				doctor.Mongo(ctx, mongo.Config{URI: c.MongoDB.URI, Database: c.MongoDB.Database}, report.add)
				doctor.Redis(ctx, redis.Config{URL: c.Redis.URL, Cluster: c.Redis.Cluster}, report.add)
			}
			return errors.Join(ctx.Err(), report.end())
		},
	}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file [none: defaults and environment alone]")
	cmd.Flags().StringSliceVar(&f.buckets, "bucket", nil, "buckets to put test objects into [those that storage.buckets names]")
	cmd.Flags().StringVar(&f.prefix, "prefix", "", "prefix under which to put them, where the credentials are confined to one")
	cmd.Flags().StringSliceVar(&f.origins, "origin", nil, "origins of web pages that send parts by signed URLs, the gateway's own for its uploader [cors.origins]")
	cmd.Flags().BoolVar(&f.fix, "fix", false, "give buckets that have no CORS rules the one that these pages need")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "one JSON object per line")
	return cmd
}

// storages are the backends, as configured, and the buckets of each.
func (f *doctorFlags) storages(c *config.Config) (all []doctor.Storage, release func(), err error) {
	release = func() {
		for _, s := range all {
			s.Backend.Close()
		}
	}
	buckets := f.buckets
	if len(buckets) == 0 {
		buckets = slices.Sorted(maps.Keys(c.Storage.Buckets))
	}
	for _, bucket := range buckets {
		if _, ok := c.Storage.Buckets[bucket]; !ok && c.Storage.Default == "" {
			return nil, nil, usagef("--bucket %s: storage.buckets does not name it, and there is no default", bucket)
		}
	}
	if f.prefix != "" && !strings.HasSuffix(f.prefix, "/") {
		f.prefix += "/"
	}
	if len(f.origins) == 0 {
		f.origins = c.CORS.Origins
	}
	for _, origin := range f.origins {
		if err := auth.ValidOrigin(origin); err != nil {
			return nil, nil, usagef("--origin %v", err)
		}
	}
	for i := range c.Storage.Backends {
		b := &c.Storage.Backends[i]
		s := doctor.Storage{
			Origins: f.origins, Fix: f.fix,
			Endpoint: b.Endpoint, Prefix: f.prefix, URLTTL: time.Duration(c.Transfer.URLTTL),
			OwnPutIdentity: b.PresignPut != nil, Role: b.PresignPut != nil && b.PresignPut.RoleARN != "",
			GetIdentity: b.PresignGet != nil,
		}
		for _, bucket := range buckets {
			name, ok := c.Storage.Buckets[bucket]
			if ok && name == b.Name || !ok && c.Storage.Default == b.Name {
				s.Buckets = append(s.Buckets, bucket)
			}
		}
		if len(s.Buckets) == 0 && len(f.buckets) == 0 {
			release()
			return nil, nil, usagef("storage.buckets names none of backend %q: say with --bucket where its test objects may go", b.Name)
		}
		if s.Backend, err = newBackend(b); err != nil {
			release()
			return nil, nil, &usageError{err}
		}
		all = append(all, s)
	}
	return all, release, nil
}

// redirectable: clients keep their Authorization header when a redirect leads to the same host or below it, so that the gateway relays there.
func redirectable(c *config.Config, b *config.Backend, host string) doctor.Check {
	check := doctor.Check{Status: doctor.OK, About: b.Name, Name: "redirect host", Seen: host + " is another host than the gateway's"}
	names := slices.Clone(c.Server.Domains)
	if name, _, err := net.SplitHostPort(c.Server.Listen); err == nil && strings.Trim(name, "0:.") != "" {
		names = append(names, name)
	}
	for _, name := range names {
		if proxy.SameSite(name, host) {
			check.Status = doctor.Warn
			check.Seen = host + " counts as the gateway's " + name + ": nothing is redirected, for clients would take their token along"
			check.Do = "give the storage a name of its own"
		}
	}
	return check
}

// diagnosis prints the checks and counts those that failed.
type diagnosis struct {
	cmd    *cobra.Command
	table  *table
	asJSON bool
	failed int
	err    error // of writing
}

func (d *diagnosis) add(c doctor.Check) {
	if c.Status == doctor.Fail {
		d.failed++
	}
	if !d.asJSON {
		// In one cell, the last: a long error then widens no column.
		seen := c.Seen
		if c.Do != "" {
			seen += " -> " + c.Do
		}
		d.table.row(string(c.Status), c.About, c.Name, seen)
		return
	}
	d.err = errors.Join(d.err, lines(d.cmd.OutOrStdout(), []doctor.Check{c}))
}

var errUnwell = errors.New("not everything is as it must be: see the lines that say FAIL")

func (d *diagnosis) end() error {
	err := d.err
	if !d.asJSON {
		err = d.table.flush(nil)
	}
	if err == nil && d.failed > 0 {
		err = errUnwell
	}
	return err
}
