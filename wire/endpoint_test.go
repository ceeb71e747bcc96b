package wire

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestCheckEndpoint(t *testing.T) {
	name := strings.Repeat("a", 63)
	longest := "https://a/" + strings.Repeat("a", MaxEndpointLength-len("https://a/"))
	for _, taken := range []string{
		"", "tcp://a:1", "tcp://127.0.0.1:65535", "tcp://[::1]:443", "http://a", "https://a", "https://example.org:8443", "https://example.org/",
		"https://a.b-c.d1/health/v0?proof=1&x=~._-", "http://[2001:db8::1]/x", "http://a?b", "http://" + name + ".org", "http://1a.b", "http://1e100.net", "http://xn--a", longest,
	} {
		if err := CheckEndpoint(taken); err != nil {
			t.Errorf("%q: %v", taken, err)
		}
	}
	for _, c := range []struct {
		name, url string
		want      error
	}{
		{"too long", longest + "a", ErrSize},
		{"of a length that fits no byte", "https://" + strings.Repeat("a", 256), ErrSize},
		{"no scheme", "example.org:443", ErrValue},
		{"no slashes", "tcp:example.org:443", ErrValue},
		{"another scheme", "ftp://example.org", ErrValue},
		{"scheme in capitals", "HTTPS://example.org", ErrValue},
		{"a file", "file:///etc/passwd", ErrValue},
		{"tcp without a port", "tcp://example.org", ErrValue},
		{"tcp with an empty port", "tcp://example.org:", ErrValue},
		{"tcp with a path", "tcp://example.org:1/", ErrValue},
		{"no host", "https://", ErrValue},
		{"no host but a port", "tcp://:443", ErrValue},
		{"no host but a path", "https:///a", ErrValue},
		{"port 0", "tcp://a:0", ErrValue},
		{"port 65536", "tcp://a:65536", ErrValue},
		{"port with a zero in front", "tcp://a:0443", ErrValue},
		{"port with a sign", "tcp://a:+1", ErrValue},
		{"port that is a name", "tcp://a:https", ErrValue},
		{"two ports", "tcp://a:1:2", ErrValue},
		{"user name", "https://me@example.org", ErrValue},
		{"user name and password", "https://me:secret@example.org", ErrValue},
		{"fragment", "https://example.org/#a", ErrValue},
		{"escape", "https://example.org/%2e", ErrValue},
		{"backslash", "https://example.org\\@127.0.0.1", ErrValue},
		{"space", "https://example.org/a b", ErrValue},
		{"line break", "https://example.org/a\r\nHost: b", ErrValue},
		{"other than ASCII", "https://exämple.org", ErrValue},
		{"underscore in a name", "https://a_b", ErrValue},
		{"name that begins with a dot", "https://.a", ErrValue},
		{"name that ends with a dot", "https://a.", ErrValue},
		{"label that begins with a hyphen", "https://-a.b", ErrValue},
		{"label that ends with a hyphen", "https://a-.b", ErrValue},
		{"label too long", "https://a" + name + ".b", ErrValue},
		{"IPv4 of three parts", "https://127.0.1", ErrValue},
		{"IPv4 as one number", "https://2130706433", ErrValue},
		{"IPv4 in hexadecimal", "https://0x7f.0x1", ErrValue},
		{"name that ends in a number", "https://a.1b", ErrValue},
		{"IPv4 in octal", "https://0177.0.0.1", ErrValue},
		{"IPv4 out of range", "https://1.2.3.256", ErrValue},
		{"IPv4 in brackets", "https://[1.2.3.4]", ErrValue},
		{"IPv6 without brackets", "tcp://::1:443", ErrValue},
		{"IPv6 with a zone", "https://[fe80::1%25eth0]", ErrValue},
		{"IPv6 with a bare zone", "https://[fe80::1%eth0]", ErrValue},
		{"bracket left open", "https://[::1", ErrValue},
		{"bracket left open before a port", "tcp://[::1:443", ErrValue},
		{"something after the bracket", "https://[::1]a", ErrValue},
		{"nothing in the brackets", "https://[]", ErrValue},
	} {
		if err := CheckEndpoint(c.url); !errors.Is(err, c.want) {
			t.Errorf("%s, %q: %v, want %v", c.name, c.url, err, c.want)
		}
	}
}

// Whoever probes an endpoint reads it with net/url: what we take means the
// same there.
func FuzzCheckEndpoint(f *testing.F) {
	for _, s := range []string{"", "tcp://a:1", "https://[::1]:443/a?b=c", "http://127.0.0.1", "https://a.b-c/~x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckEndpoint(s) != nil || s == "" {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q is taken, but %v", s, err)
		}
		if u.String() != s || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Scheme == "tcp" && u.Port() == "" {
			t.Errorf("%q is read as %+v", s, u)
		}
	})
}
