package uptime

import (
	"net/netip"
	"strings"
)

// Host returns the host that a multiaddress names first, in the one form that
// equal hosts share, or "" if it names none: the 1.2.3.4 of
// /ip4/1.2.3.4/udp/1/quic-v1. Ports and transports are no part of it.
func Host(address string) string {
	parts := strings.SplitN(address, "/", 4)
	if len(parts) < 3 || parts[0] != "" || parts[2] == "" {
		return ""
	}
	switch parts[1] {
	case "ip4", "ip6":
		ip, err := netip.ParseAddr(parts[2])
		if err != nil || ip.Zone() != "" || ip.Is4() != (parts[1] == "ip4") {
			return ""
		}
		return ip.Unmap().String()
	case "dns", "dns4", "dns6", "dnsaddr":
		return strings.ToLower(strings.TrimSuffix(parts[2], "."))
	default:
		return ""
	}
}

// hidden are the addresses, beyond those that netip tells apart, at which
// nobody outside can reach a node. Source: IANA special-purpose registries.
var hidden = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by the customers of a carrier
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), // documentation
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // these three carry an IPv4 address that we would not look at
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("3fff::/20"),     // documentation
	netip.MustParsePrefix("fec0::/10"),
}

// Reachable reports whether a host, as Host returns it, can be meant for
// everybody. A name can, whatever it resolves to: resolving is not for a pure
// judgement, and who dials must look again.
func Reachable(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host != "" && host != "localhost" && !strings.HasSuffix(host, ".localhost")
	}
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range hidden {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
