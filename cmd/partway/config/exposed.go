package config

import (
	"net"
	"net/netip"
)

// AdminExposed reports whether server.admin_listen can be reached from other machines.
func (c *Config) AdminExposed() bool {
	return c.Server.AdminListen != "" && exposed(c.Server.AdminListen)
}

// ListenExposed reports whether server.listen can be.
func (c *Config) ListenExposed() bool { return exposed(c.Server.Listen) }

// exposed is true unless address is of this machine alone. Of names, only localhost is known to be.
func exposed(address string) bool {
	host, _, _ := net.SplitHostPort(address) // Load has checked it
	if host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
