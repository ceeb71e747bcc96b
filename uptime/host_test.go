package uptime

import "testing"

func TestHost(t *testing.T) {
	for address, want := range map[string]string{
		"/ip4/1.2.3.4/udp/1/quic-v1":       "1.2.3.4",
		"/ip4/1.2.3.4":                     "1.2.3.4",
		"/ip6/2A00:0::1/tcp/1":             "2a00::1",
		"/ip6/2a00:0:0:0:0:0:0:1/tcp/2":    "2a00::1",
		"/ip6/::ffff:1.2.3.4/tcp/2":        "1.2.3.4",
		"/dns4/Node.Example./udp/1":        "node.example",
		"/dns/127.0.0.1/udp/1":             "127.0.0.1",
		"/dnsaddr/a/b/c/d":                 "a",
		"":                                 "",
		"/":                                "",
		"/ip4":                             "",
		"/ip4/":                            "",
		"/ip4//udp/1":                      "",
		"ip4/1.2.3.4/udp/1":                "",
		"x/ip4/1.2.3.4/udp/1":              "",
		"/ip4/::1/udp/1":                   "",
		"/ip6/1.2.3.4/udp/1":               "",
		"/ip4/1.2.3/udp/1":                 "",
		"/ip4/01.2.3.4/udp/1":              "",
		"/ip6/fe80::1%eth0/udp/1":          "",
		"/ip6zone/eth0/ip6/fe80::1/udp/1":  "",
		"/unix/tmp/socket":                 "",
		"/p2p/12D3KooW/p2p-circuit":        "",
		"/onion3/abcdefghijklmnopqrstuv:1": "",
	} {
		if got := Host(address); got != want {
			t.Errorf("host of %q is %q, want %q", address, got, want)
		}
	}
}

func TestReachable(t *testing.T) {
	for _, host := range []string{"1.2.3.4", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "2a00::1", "node.example", "localhost.example"} {
		if !Reachable(host) {
			t.Errorf("%s is not reachable", host)
		}
	}
	for _, host := range []string{
		"", "localhost", "a.localhost",
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1",
		"100.64.0.0", "100.127.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.19.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "3fff::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fec0::1",
	} {
		if Reachable(host) {
			t.Errorf("%s is reachable", host)
		}
	}
}
