package wire

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxEndpointLength is the most characters of a platform endpoint.
const MaxEndpointLength = 128

// maxHostLabel is the most characters between two dots of a name (RFC 1035).
const maxHostLabel = 63

// CheckEndpoint reports why url cannot be the platform endpoint of an evonode;
// nil if it can. "" stands for none; otherwise it is tcp://host:port, or
// http or https with host, an optional port, and an optional path and query of
// plain characters. It is stricter than RFC 3986: what probes a node shall not
// have to ask what a user name, a fragment or an escape would mean.
func CheckEndpoint(url string) error {
	switch {
	case url == "":
		return nil
	case len(url) > MaxEndpointLength:
		return fmt.Errorf("endpoint of %d bytes, at most %d: %w", len(url), MaxEndpointLength, ErrSize)
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "tcp" && scheme != "http" && scheme != "https" {
		return fmt.Errorf("endpoint %q: want tcp://, http:// or https:// and a host: %w", url, ErrValue)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, port, err := splitPort(authority)
	switch {
	case err != nil:
	case scheme == "tcp" && path != "":
		err = fmt.Errorf("tcp has no path: %w", ErrValue)
	case scheme == "tcp" && port == "":
		err = fmt.Errorf("tcp needs a port: %w", ErrValue)
	case !plain(path, "/?=&-._~"):
		err = fmt.Errorf("path %q has other characters than letters, digits and /?=&-._~: %w", path, ErrValue)
	default:
		err = checkHost(host)
	}
	if err != nil {
		return fmt.Errorf("endpoint %q: %w", url, err)
	}
	return nil
}

// splitPort splits host:port; the port may be left out. An IPv6 address stands
// in brackets and comes with them.
func splitPort(authority string) (host, port string, err error) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' {
			return "", "", fmt.Errorf("port %q, want 1 to 65535: %w", port, ErrValue)
		}
	}
	return host, port, nil
}

// checkHost takes a name, an IPv4 address, or an IPv6 address in brackets.
func checkHost(host string) error {
	bad := fmt.Errorf("host %q is neither a name nor an IP address: %w", host, ErrValue)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if !closed || err != nil || !ip.Is6() || ip.Zone() != "" { // a zone means something on one machine only
			return bad
		}
		return nil
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > maxHostLabel || !plain(l, "-") || l[0] == '-' || l[len(l)-1] == '-' {
			return bad
		}
	}
	// What ends in a number is an address, or some resolver's idea of one (0x7f.1).
	if c := labels[len(labels)-1][0]; c >= '0' && c <= '9' {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is4() {
			return bad
		}
	}
	return nil
}

// plain reports whether s has only ASCII letters, digits and others.
func plain(s, others string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
