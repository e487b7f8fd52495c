package proxy

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"partway/auth/sigv4"
)

// clientAddress is where a request comes from: its connection's peer or, behind trusted proxies, what those say. Each proxy adds the
// address that it saw at the right of X-Forwarded-For, so the entries are walked from there for as long as trusted proxies wrote them;
// whatever stands further left the client may have sent itself. An entry that is no address ends the walk.
func clientAddress(peer netip.Addr, trusted []netip.Prefix, headers []sigv4.Header) netip.Addr {
	client := peer
	for _, h := range slices.Backward(headers) {
		if h.Name != "x-forwarded-for" {
			continue
		}
		for _, entry := range slices.Backward(strings.Split(h.Value, ",")) {
			if !within(trusted, client) {
				return client
			}
			next, ok := forwardedAddress(strings.TrimSpace(entry))
			if !ok {
				return client
			}
			client = next
		}
	}
	return client
}

// forwardedAddress reads an entry of X-Forwarded-For; some proxies add the port.
func forwardedAddress(entry string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(entry)
	if err != nil {
		withPort, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// peerAddress is the other end of a connection; the zero Addr if that has no IP address.
func peerAddress(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// addressText is "" for an address that is not known.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
