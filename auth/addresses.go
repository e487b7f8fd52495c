package auth

import (
	"fmt"
	"net/netip"
)

// ParsePrefix reads the addresses of a network in CIDR notation. What could be read in two ways, or would never match, is an
// error: bits set behind the prefix's length, and IPv4 written as IPv6.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("address %q: want CIDR notation, such as 203.0.113.0/24 or 203.0.113.7/32", text)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("address %q: write IPv4 as such", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("address %q: bits are set behind the first %d; want %s", text, p.Bits(), p.Masked())
	}
	return p, nil
}

// ParsePrefixes reads several; the first that is wrong is the error.
func ParsePrefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// CheckAddress returns an error that wraps ErrAccessDenied if the token may not be used from a. An address that is not known
// (the zero Addr) is in no list.
func (id *Identity) CheckAddress(a netip.Addr) error {
	if len(id.Addresses) == 0 {
		return nil
	}
	for _, p := range id.Addresses {
		if p.Contains(a.Unmap()) {
			return nil
		}
	}
	return fmt.Errorf("%w: this token may not be used from %s", ErrAccessDenied, a.Unmap())
}
