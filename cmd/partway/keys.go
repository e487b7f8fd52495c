package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"partway/cmd/partway/config"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, rotate and back up the gateway's own keys",
		Args:  commandsOnly,
		RunE:  showHelp,
	}
	cmd.AddCommand(newKeysNew(), newKeysRotate(), newKeysBackup(), newKeysChain())
	return cmd
}

func newKeysNew() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "new --dir DIR",
		Short: "Make the first keys of gateways that share a MongoDB",
		Long: "Make a signing key, DIR/signing.pem, and a master key, DIR/master-keys.yaml, that only their owner may read, and print the lines of\n" +
			"configuration that name them. What is there stays, so it may be run again. A gateway on the embedded store needs none of this: it makes its\n" +
			"keys when it starts.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("where to? Give --dir")
			}
			signing, master, err := config.NewKeys(dir)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "auth:\n  signing_keys: [{kid: %s, file: %q, active: true}]\n"+
				"# and for auth.master_keys, in the gateway's environment: PARTWAY_CFG_AUTH__MASTER_KEYS_FILE=%s\n", config.FirstKID, signing, master)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory for the two files; made if it is not there")
	return cmd
}

const rotateLong = `Make new keys; without an argument, one of each kind.

Keys in the data directory: the new key is active from the next start of the gateway on, so restart it. Until then it does not
know tokens that "token issue --offline" makes. The old keys stay and go on verifying what was made with them: tokens, secrets,
upload ids, the audit trail.

Keys that the configuration names: the new ones are printed as lines of configuration, inactive, and a signing key's file is made beside
the active one's. Add the lines to every gateway and restart each; then make the new keys active instead of the old ones and
restart each again. So no gateway ever meets a token whose key it does not know.`

func newKeysRotate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:       "rotate [signing|master]...",
		Short:     "Make a new signing key, a new master key, or both",
		Long:      rotateLong,
		Args:      validArguments,
		ValidArgs: []string{string(config.SigningKeys), string(config.MasterKeys)},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := loadConfig(file)
			if err != nil {
				return err
			}
			var kinds []config.KeyKind
			for _, k := range []config.KeyKind{config.SigningKeys, config.MasterKeys} {
				if len(args) == 0 || slices.Contains(args, string(k)) {
					kinds = append(kinds, k)
				}
			}
			if c.KeysConfigured() {
				return rotateConfigured(cmd.OutOrStdout(), c, kinds)
			}
			for _, k := range kinds {
				made, err := c.Rotate(k)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "new %s key: %s\n", k, made)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Restart the gateway: it reads its keys when it starts. Then back them up (partway keys backup).")
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the gateway [none: defaults and environment alone]")
	return cmd
}

func rotateConfigured(w io.Writer, c *config.Config, kinds []config.KeyKind) error {
	var (
		signing []config.SigningKey
		master  []config.MasterKey
	)
	for _, k := range kinds {
		if k == config.MasterKeys {
			made, err := c.NewMasterKey()
			if err != nil {
				return err
			}
			master = append(master, made)
			continue
		}
		made, err := c.NewSigningKey()
		if err != nil {
			return err
		}
		signing = append(signing, made)
	}
	_, err := fmt.Fprintf(w, "# Add these to the keys of every gateway and restart each; then swap \"active\" with the old ones and restart each again.\n"+
		"# A signing key's file must be at its place on every gateway. Back all of it up (partway keys backup).\n%s", config.KeysYAML(signing, master))
	return err
}

const backupWarning = `%s holds every key of the gateway, not encrypted: whoever reads it can make any token and sign as anybody.
Encrypt it, keep it apart from the gateway and from backups of its data, and delete this copy.
`

func newKeysBackup() *cobra.Command {
	var file, out string
	cmd := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Write every key to one file",
		Long: "Write every key, active or not, to a tar archive that only its owner may read. It is not encrypted.\n\n" +
			"To restore keys of the data directory: tar -xf FILE -C DATA_DIR, before the gateway starts. To restore keys that the\n" +
			"configuration names: put the signing-N.pem files back and paste auth.yaml into the configuration, with their paths.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("where to? Give --out")
			}
			c, _, err := loadConfig(file)
			if err != nil {
				return err
			}
			files, err := c.KeyFiles()
			if err != nil {
				return err
			}
			// What cannot be read now could not be restored later. After KeyFiles, which makes none where there are none.
			if _, err := c.Keys(); err != nil {
				return err
			}
			if err := writeNew(out, func(w io.Writer) error { return writeBackup(w, files) }); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), backupWarning, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the gateway [none: defaults and environment alone]")
	cmd.Flags().StringVar(&out, "out", "", "the archive; it must not exist yet")
	return cmd
}

func newKeysChain() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Print the keys that check exports of the audit trail",
		Long: "Print the keys of the audit chain, by version, for \"partway audit verify --file EXPORT --keys FILE\". They are derived from the master keys,\n" +
			"which they do not give away: who has them can check exports, and could seal forged ones, but can make no token.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := offlineKeys(file, "")
			if err != nil {
				return err
			}
			return lines(cmd.OutOrStdout(), []map[int][]byte{keys})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the gateway [none: defaults and environment alone]")
	return cmd
}

// writeNew makes a file that only its owner may read, whole or not at all; one that is there stays.
func writeNew(name string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

func writeBackup(w io.Writer, files []config.KeyFile) error {
	archive := tar.NewWriter(w)
	for _, file := range files {
		if err := archive.WriteHeader(&tar.Header{Name: file.Name, Mode: 0o600, Size: int64(len(file.Text))}); err != nil {
			return err
		}
		if _, err := archive.Write(file.Text); err != nil {
			return err
		}
	}
	return archive.Close()
}
